//! Values that remember where in the file they stand.

use std::fmt;

use serde::{Deserialize, Deserializer};
use serde_saphyr::{Location, Spanned};

/// Characters of a value that a message shows.
const SHOWN: usize = 80;

/// Line and column, both from 1, the column in characters. Line 0 is the file as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line, from 1; 0 is the file as a whole.
    pub line: u32,
    /// The column, from 1; 0 is the file as a whole.
    pub column: u32,
}

impl Position {
    /// The file as a whole: it cannot be read, or it is empty.
    pub const FILE: Self = Self { line: 0, column: 0 };
}

impl From<Location> for Position {
    fn from(location: Location) -> Self {
        let clamp = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        Self { line: clamp(location.line()), column: clamp(location.column()) }
    }
}

/// A value and where it is written. For a YAML alias that is where the alias stands.
///
/// [`Spanned`] takes a hundred bytes more per value: too much for a million backends.
pub(super) struct At<T> {
    pub value: T,
    pub position: Position,
}

/// Text of any scalar, quoted or not. Numbers are parsed by the validation, whose messages name
/// the object they belong to.
pub(super) type Text = At<String>;

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, referenced, .. } = Spanned::deserialize(deserializer)?;
        Ok(Self { value, position: referenced.into() })
    }
}

/// The text as it is written, on one line and not too long for a message.
impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.value.char_indices().nth(SHOWN).map_or(self.value.len(), |(end, _)| end);
        write!(f, "{}", self.value[..shown].escape_debug())?;
        if shown < self.value.len() { f.write_str("…") } else { Ok(()) }
    }
}

/// The same text in quotes, for text that may be anything.
impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}
