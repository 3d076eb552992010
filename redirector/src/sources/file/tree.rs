//! A file as a tree: every value with its position. What it should be is asked elsewhere.

use std::{borrow::Cow, collections::BTreeSet, fmt, ops::Range};

use redirector_policy::{Field, Segment};
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{Location, Spanned};

use crate::sources::shown;

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

/// Text of a scalar, quoted or not: numbers are parsed by the validation, whose messages name the
/// object they belong to.
#[derive(Clone, Copy)]
pub(super) struct Text<'t> {
    pub value: &'t str,
    pub position: Position,
}

/// The text as it is written, on one line and not too long for a message.
impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(self.value))
    }
}

/// The same text in quotes, for text that may be anything.
impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// A value and where it is written. For a YAML alias that is where the alias stands.
///
/// It borrows from the text of the file, of which a million backends may be read, and [`Spanned`]
/// takes a hundred bytes more per value.
pub(super) struct Tree<'a> {
    pub position: Position,
    node: Node<'a>,
}

enum Node<'a> {
    /// `null`, `~` or nothing: as if the field were not there.
    Absent,
    Text(Cow<'a, str>),
    /// A number or a boolean: its text, in these bytes of the file, is what is meant.
    Plain(Range<usize>),
    List(Vec<Tree<'a>>),
    Fields(Vec<(Tree<'a>, Tree<'a>)>),
}

impl<'a> Tree<'a> {
    /// Takes the text of numbers and booleans from `file`, which the tree was read from.
    pub fn take_plain_texts(&mut self, file: &'a str) {
        match &mut self.node {
            Node::Absent | Node::Text(_) => {}
            Node::Plain(bytes) => {
                let text = file.get(bytes.clone()).unwrap_or_default();
                self.node = Node::Text(text.trim().into());
            }
            Node::List(list) => list.iter_mut().for_each(|inner| inner.take_plain_texts(file)),
            Node::Fields(fields) => {
                for (key, inner) in fields {
                    key.take_plain_texts(file);
                    inner.take_plain_texts(file);
                }
            }
        }
    }
}

impl Tree<'_> {
    /// Whether nothing is written there.
    pub fn is_absent(&self) -> bool {
        matches!(self.node, Node::Absent)
    }

    /// What is written, if it is a scalar.
    pub fn text(&self) -> Option<Text<'_>> {
        let Node::Text(text) = &self.node else { return None };
        Some(Text { value: text, position: self.position })
    }

    /// Its elements, if it is a list.
    pub fn list(&self) -> Option<&[Self]> {
        if let Node::List(list) = &self.node { Some(list) } else { None }
    }

    /// Its keys and values as they are written, if it has any.
    pub fn entries(&self) -> Option<&[(Self, Self)]> {
        if let Node::Fields(fields) = &self.node { Some(fields) } else { None }
    }

    /// The field of that name, unless it is absent.
    pub fn field(&self, name: &str) -> Option<&Self> {
        let is_named = |key: &Self| key.text().is_some_and(|key| key.value == name);
        let (_, found) = self.entries()?.iter().find(|(key, _)| is_named(key))?;
        (!found.is_absent()).then_some(found)
    }

    /// Whether any of these positions is its own, or in it.
    pub fn has_any(&self, positions: &BTreeSet<Position>) -> bool {
        let lists = self.list().into_iter().flatten();
        let mut entries = self.entries().into_iter().flatten();
        positions.contains(&self.position)
            || lists.into_iter().any(|inner| inner.has_any(positions))
            || entries.any(|(key, inner)| key.has_any(positions) || inner.has_any(positions))
    }

    /// What stands where `field` is; of a field that is not there, what should hold it.
    pub fn at(&self, field: &Field) -> &Self {
        let mut found = self;
        for segment in &field.0 {
            let inner = match segment {
                Segment::Name(name) => found.field(name),
                Segment::Index(index) => found.list().and_then(|list| list.get(*index)),
            };
            let Some(inner) = inner else { break };
            found = inner;
        }
        found
    }
}

impl<'de> Deserialize<'de> for Tree<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value: mut node, referenced, defined } = Spanned::deserialize(deserializer)?;
        if let Node::Plain(bytes) = &mut node {
            let span = defined.span();
            let byte = |at: Option<u64>| at.and_then(|at| at.try_into().ok()).unwrap_or(0);
            let begin: usize = byte(span.byte_offset());
            *bytes = begin..begin + byte(span.byte_len());
        }
        Ok(Self { position: referenced.into(), node })
    }
}

impl<'de> Deserialize<'de> for Node<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Node::Absent)
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Node::Text(text.into()))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Node::Text(text.to_owned().into()))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Node::Plain(0..0))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Node::Plain(0..0))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Node::Plain(0..0))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Node::Plain(0..0))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut found = Vec::new();
        while let Some(inner) = list.next_element()? {
            found.push(inner);
        }
        Ok(Node::List(found))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = Vec::new();
        while let Some(entry) = map.next_entry()? {
            found.push(entry);
        }
        found.shrink_to_fit();
        Ok(Node::Fields(found))
    }
}
