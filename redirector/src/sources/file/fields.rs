//! Reads the form of the file: which fields an object has, and of which kind their values are.
//!
//! What is wrong is added to the problems; the rest is there to be validated, so that every problem
//! of a file is found in one pass, not only the first one.

use super::{
    problems::Problems,
    tree::{Position, Text, Tree},
};

/// The fields of one object that are known, each of them once.
pub(super) struct Fields<'t> {
    /// Where the object is.
    pub position: Position,
    found: Vec<(&'t str, &'t Tree<'t>)>,
}

/// A value is of another kind than it should be, which is a problem already: it is not missing.
pub(super) struct Wrong;

impl<'t> Fields<'t> {
    /// The fields of `tree` that are among `known`; `None` if it is no object.
    pub fn of(tree: &'t Tree<'_>, known: &[&str], problems: &mut Problems) -> Option<Self> {
        let position = tree.position;
        let Some(entries) = tree.entries() else {
            problems.add(position, "expected fields, each `name: value`");
            return None;
        };
        let mut found: Vec<(&str, &Tree<'_>)> = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let Some(name) = scalar(key, problems) else { continue };
            if !known.contains(&name.value) {
                let message = match known {
                    [] => format!("unknown field `{name}`; none is expected here"),
                    _ => format!("unknown field `{name}`; expected one of {}", known.join(", ")),
                };
                problems.add(key.position, message);
            } else if found.iter().any(|(other, _)| *other == name.value) {
                problems.add(key.position, format_args!("field `{name}` is given twice"));
            } else {
                found.push((name.value, value));
            }
        }
        Some(Self { position, found })
    }

    /// The value of a field, unless it is absent.
    pub fn get(&self, name: &str) -> Option<&'t Tree<'t>> {
        let (_, value) = self.found.iter().find(|(other, _)| *other == name)?;
        (!value.is_absent()).then_some(value)
    }

    /// Text or a number.
    pub fn text(&self, name: &str, problems: &mut Problems) -> Result<Option<Text<'t>>, Wrong> {
        let Some(value) = self.get(name) else { return Ok(None) };
        scalar(value, problems).map(Some).ok_or(Wrong)
    }

    /// A list; of its elements nothing is known.
    pub fn list(
        &self,
        name: &str,
        problems: &mut Problems,
    ) -> Result<Option<&'t [Tree<'t>]>, Wrong> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let list = value.list();
        if list.is_none() {
            problems.add(value.position, "expected a list");
        }
        list.map(Some).ok_or(Wrong)
    }

    /// `true` or `false`.
    pub fn bool(&self, name: &str, problems: &mut Problems) -> bool {
        let Some(value) = self.get(name) else { return false };
        let text = value.text().map(|text| text.value.to_ascii_lowercase());
        let is_true = text.as_deref() == Some("true");
        if !is_true && text.as_deref() != Some("false") {
            problems.add(value.position, "expected true or false");
        }
        is_true
    }
}

/// The text or number in `tree`.
pub(super) fn scalar<'t>(tree: &'t Tree<'_>, problems: &mut Problems) -> Option<Text<'t>> {
    let found = tree.text();
    if found.is_none() {
        let why = if tree.is_absent() { "a value is missing" } else { "expected text or a number" };
        problems.add(tree.position, why);
    }
    found
}
