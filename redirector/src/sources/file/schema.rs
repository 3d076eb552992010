//! Gives a policy or a cluster the form that its schema demands.
//!
//! The fields are those of the schema, so there is one list of them; unknown fields, wrong kinds and
//! wrong words are found here. What the values mean is validated by the policy or the cluster itself.

use std::fmt;

use redirector_policy::Field;
use serde_json::{Value, json};

use super::{
    fields::Fields,
    problems::Problems,
    tree::{Position, Text, Tree},
};

/// Reads one policy or cluster.
pub(super) struct Reading<'a> {
    /// How messages name the service or the cluster.
    pub label: &'a str,
    /// How messages name what is read, as a whole.
    pub whole: &'a str,
    /// The field of it that is not read.
    pub skipped: Option<&'a str>,
    pub problems: &'a mut Problems,
}

impl Reading<'_> {
    /// What `tree` says, as `schema` wants it, without what is wrong, which is added to the
    /// problems.
    pub fn value(
        &mut self,
        tree: &Tree<'_>,
        schema: &'static Value,
        field: &Field,
    ) -> Option<Value> {
        if tree.is_absent() {
            return None;
        }
        let scalar = "text or a number";
        let is_map = schema.get("additionalProperties").is_some();
        let (expected, found) = match schema["type"].as_str() {
            Some("boolean") => ("true or false", Self::boolean(tree)),
            Some("object") if tree.entries().is_none() => ("fields, each `name: value`", None),
            Some("object") if is_map => ("", Some(self.map(tree, schema, field))),
            Some("object") => ("", Some(self.fields(tree, schema, field))),
            Some("array") => ("a list", tree.list().map(|list| self.list(list, schema, field))),
            Some("integer") => (scalar, tree.text().map(|text| self.number(text, schema, field))),
            _ => (scalar, tree.text().map(|text| self.word(text, schema, field))),
        };
        found.unwrap_or_else(|| {
            self.add(tree.position, field, format_args!("must be {expected}"));
            None
        })
    }

    fn fields(&mut self, tree: &Tree<'_>, schema: &'static Value, field: &Field) -> Option<Value> {
        let known: Vec<_> = schema["properties"].as_object().into_iter().flatten().collect();
        let names: Vec<&str> = known.iter().map(|(name, _)| name.as_str()).collect();
        let fields = Fields::of(tree, &names, self.problems)?;
        let skipped = if field.0.is_empty() { self.skipped } else { None };
        let read = known.into_iter().filter(|(name, _)| skipped != Some(name.as_str()));
        let values = read.filter_map(|(name, schema)| {
            let value = self.value(fields.get(name)?, schema, &field.field(name))?;
            Some((name.clone(), value))
        });
        Some(values.collect())
    }

    /// Fields of any name.
    fn map(&mut self, tree: &Tree<'_>, schema: &'static Value, field: &Field) -> Option<Value> {
        let names: Vec<&str> = tree
            .entries()
            .into_iter()
            .flatten()
            .filter_map(|(key, _)| key.text().map(|key| key.value))
            .collect();
        let fields = Fields::of(tree, &names, self.problems)?;
        let values = names.iter().filter_map(|name| {
            let value = fields.get(name)?;
            let value = self.value(value, &schema["additionalProperties"], field)?;
            Some(((*name).to_owned(), value))
        });
        Some(values.collect())
    }

    fn boolean(tree: &Tree<'_>) -> Option<Option<Value>> {
        match tree.text()?.value {
            "true" => Some(Some(true.into())),
            "false" => Some(Some(false.into())),
            _ => None,
        }
    }

    fn list(&mut self, list: &[Tree<'_>], schema: &'static Value, field: &Field) -> Option<Value> {
        let schema = &schema["items"];
        let values = list.iter().enumerate().map(|(index, inner)| {
            // What is wrong has a place all the same, so that the others keep theirs.
            self.value(inner, schema, &field.index(index)).unwrap_or_else(|| nothing(schema))
        });
        Some(values.collect())
    }

    fn word(&mut self, text: Text<'_>, schema: &Value, field: &Field) -> Option<Value> {
        let words: Vec<_> =
            schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if let Some((last, first)) = words.split_last()
            && !words.contains(&text.value)
        {
            let message = format!("{text:?} is unknown; use {} or {last}", first.join(", "));
            self.add(text.position, field, message);
            return None;
        }
        Some(text.value.into())
    }

    /// Out of bounds is out of the policy's bounds, which says so itself, unless there is no such
    /// number at all.
    fn number(&mut self, text: Text<'_>, schema: &Value, field: &Field) -> Option<Value> {
        let Ok(number) = text.value.parse::<i32>() else {
            let [from, to] = ["minimum", "maximum"].map(|end| &schema[end]);
            self.add(text.position, field, format_args!("{text} is not between {from} and {to}"));
            return None;
        };
        Some(number.into())
    }

    /// Adds a problem of that field.
    pub fn add(&mut self, position: Position, field: &Field, message: impl fmt::Display) {
        let label = self.label;
        // What is read as a whole has no field.
        let whole = || self.whole.to_owned();
        let name = if field.0.is_empty() { whole() } else { field.last().to_string() };
        self.problems.add(position, format_args!("{label}: {name} {message}"));
    }
}

/// An empty value of that kind.
fn nothing(schema: &Value) -> Value {
    match schema["type"].as_str() {
        Some("object") => json!({}),
        Some("array") => json!([]),
        Some("integer") => json!(0),
        _ => json!(""),
    }
}
