//! What is wrong with a policy: every problem, with the field that has it.

use std::fmt;

/// The way to a field, from the policy: `tiers[2].service.name`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Field(pub Vec<Segment>);

/// One step of that way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment {
    /// The field of that name.
    Name(&'static str),
    /// The element of a list at that position, from 0.
    Index(usize),
}

impl Field {
    /// The field of that name in this one.
    #[must_use]
    pub fn field(&self, name: &'static str) -> Self {
        self.with(Segment::Name(name))
    }

    /// The element of this list at that position, from 0.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.with(Segment::Index(index))
    }

    /// The field's last name with its indices: enough where line and column say the rest.
    #[must_use]
    pub fn last(&self) -> Self {
        let begin = self.0.iter().rposition(|segment| matches!(segment, Segment::Name(_)));
        Self(self.0[begin.unwrap_or(0)..].to_vec())
    }

    fn with(&self, segment: Segment) -> Self {
        let mut segments = self.0.clone();
        segments.push(segment);
        Self(segments)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Name(name) if at == 0 => f.write_str(name)?,
                Segment::Name(name) => write!(f, ".{name}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// One thing to put right. Displayed as `FIELD MESSAGE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The field that has it.
    pub field: Field,
    /// What is wrong with it and what is allowed; continues the field's name.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, message } = self;
        write!(f, "{field} {message}")
    }
}

/// A policy that was refused. Displayed as its problems on one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct Invalid(
    /// At least one, in the order of the fields.
    pub Vec<Problem>,
);
