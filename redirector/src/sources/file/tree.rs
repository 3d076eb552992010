//! A policy as it stands in the file: every value with its position.
//!
//! The fields are those of the policy's schema, which says what each of them holds; so there is
//! one list of them, and unknown fields, wrong kinds and wrong words are found here with line and
//! column, all at once. What the values mean is validated by the policy itself.

use std::{collections::BTreeSet, fmt, ops::Range};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use serde_json::Value;
use serde_saphyr::Spanned;

use super::{
    at::{Position, Text},
    invalid::Problems,
};
use redirector_policy::{Field, Segment};

/// A value and where it is written. For a YAML alias that is where the alias stands.
pub(super) struct Tree {
    pub position: Position,
    node: Node,
    /// Where its text is, in bytes of the file.
    bytes: Range<usize>,
}

enum Node {
    /// `null`, `~` or nothing: as if the field were not there.
    Absent,
    Text(String),
    /// A number or a boolean; its text is what is meant.
    Plain,
    List(Vec<Tree>),
    Fields(Vec<(Text, Tree)>),
}

impl Tree {
    /// The field of that name, unless it is absent.
    pub fn field(&self, name: &str) -> Option<&Self> {
        let Node::Fields(fields) = &self.node else { return None };
        let (_, found) = fields.iter().find(|(key, _)| key.value == name)?;
        (!matches!(found.node, Node::Absent)).then_some(found)
    }

    /// Whether nothing is written there.
    pub fn is_absent(&self) -> bool {
        matches!(self.node, Node::Absent)
    }

    /// Its fields, if it has any; those that are absent too.
    pub fn into_fields(self) -> Option<Vec<(Text, Self)>> {
        if let Node::Fields(fields) = self.node { Some(fields) } else { None }
    }

    /// Its elements, if it is a list.
    pub fn into_list(self) -> Option<Vec<Self>> {
        if let Node::List(list) = self.node { Some(list) } else { None }
    }

    /// What is written, if it is a scalar. `file` is the text of the file.
    pub fn text(&self, file: &str) -> Option<Text> {
        let value = match &self.node {
            Node::Text(text) => text.clone(),
            Node::Plain => file.get(self.bytes.clone())?.trim().to_owned(),
            Node::Absent | Node::List(_) | Node::Fields(_) => return None,
        };
        Some(Text { value, position: self.position })
    }

    /// Where `field` stands; of a field that is not there, what should hold it.
    pub fn position_of(&self, field: &Field) -> Position {
        self.at(field).position
    }

    /// Whether any of these positions is there, where `field` stands, or in it.
    pub fn has(&self, field: &Field, positions: &BTreeSet<Position>) -> bool {
        fn is_in(tree: &Tree, positions: &BTreeSet<Position>) -> bool {
            positions.contains(&tree.position)
                || match &tree.node {
                    Node::Absent | Node::Text(_) | Node::Plain => false,
                    Node::List(list) => list.iter().any(|inner| is_in(inner, positions)),
                    Node::Fields(fields) => fields.iter().any(|(key, inner)| {
                        positions.contains(&key.position) || is_in(inner, positions)
                    }),
                }
        }
        is_in(self.at(field), positions)
    }

    /// What stands where `field` is; of a field that is not there, what should hold it.
    fn at(&self, field: &Field) -> &Self {
        let mut found = self;
        for segment in &field.0 {
            let inner = match (segment, &found.node) {
                (Segment::Name(name), _) => found.field(name),
                (Segment::Index(index), Node::List(list)) => list.get(*index),
                (Segment::Index(_), _) => None,
            };
            let Some(inner) = inner else { break };
            found = inner;
        }
        found
    }
}

/// Gives a tree the form that its schema demands.
pub(super) struct Reading<'a> {
    /// The text of the file.
    pub file: &'a str,
    /// How messages name the service.
    pub label: &'a str,
    pub problems: &'a mut Problems,
}

impl Reading<'_> {
    /// The policy in `tree`, as `schema` wants it, without what is wrong, which is added to the
    /// problems, and without the field `skipped`.
    pub fn policy(
        &mut self,
        tree: &Tree,
        schema: &'static Value,
        skipped: Option<&str>,
    ) -> Option<Value> {
        let root = Field::default();
        match &tree.node {
            Node::Fields(fields) => {
                let fields = fields.iter().filter(|(key, _)| Some(key.value.as_str()) != skipped);
                Some(self.fields(fields, schema, &root))
            }
            _ => self.value(tree, schema, &root),
        }
    }

    fn value(&mut self, tree: &Tree, schema: &'static Value, field: &Field) -> Option<Value> {
        match (schema["type"].as_str(), &tree.node) {
            (_, Node::Absent) => None,
            (Some("object"), Node::Fields(fields)) => Some(self.fields(fields, schema, field)),
            (Some("array"), Node::List(list)) => {
                let schema = &schema["items"];
                let values = list.iter().enumerate().map(|(index, inner)| {
                    // What is wrong has a place all the same, so that the others keep theirs.
                    self.value(inner, schema, &field.index(index))
                        .unwrap_or_else(|| nothing(schema))
                });
                Some(Value::Array(values.collect()))
            }
            (Some("string"), Node::Text(_) | Node::Plain) => self.word(tree, schema, field),
            (Some("integer"), Node::Text(_) | Node::Plain) => self.number(tree, schema, field),
            (expected, _) => {
                let expected = match expected {
                    Some("object") => "fields, each `name: value`",
                    Some("array") => "a list",
                    _ => "text or a number",
                };
                self.add(tree.position, field, format_args!("must be {expected}"));
                None
            }
        }
    }

    fn fields<'a>(
        &mut self,
        fields: impl IntoIterator<Item = &'a (Text, Tree)>,
        schema: &'static Value,
        field: &Field,
    ) -> Value {
        let mut values = serde_json::Map::new();
        for (key, inner) in fields {
            let known = schema["properties"].as_object();
            let Some((name, schema)) = known.and_then(|known| known.get_key_value(&key.value))
            else {
                self.unknown(key, schema);
                continue;
            };
            if let Some(value) = self.value(inner, schema, &field.field(name)) {
                values.insert(name.clone(), value);
            }
        }
        Value::Object(values)
    }

    fn unknown(&mut self, key: &Text, schema: &Value) {
        let known = schema["properties"].as_object().into_iter().flatten();
        let known = known.map(|(name, _)| name.as_str());
        self.problems.add(key.position, unknown_field(key, known));
    }

    fn word(&mut self, tree: &Tree, schema: &Value, field: &Field) -> Option<Value> {
        let text = tree.text(self.file)?;
        let words: Vec<_> =
            schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if let Some((last, first)) = words.split_last()
            && !words.contains(&text.value.as_str())
        {
            let message = format!("{text:?} is unknown; use {} or {last}", first.join(", "));
            self.add(tree.position, field, message);
            return None;
        }
        Some(text.value.into())
    }

    /// Out of bounds is out of the policy's bounds, which says so itself, unless there is no such
    /// number at all.
    fn number(&mut self, tree: &Tree, schema: &Value, field: &Field) -> Option<Value> {
        let text = tree.text(self.file)?;
        let Ok(number) = text.value.parse::<i32>() else {
            let [from, to] = ["minimum", "maximum"].map(|end| &schema[end]);
            self.add(tree.position, field, format_args!("{text} is not between {from} and {to}"));
            return None;
        };
        Some(number.into())
    }

    /// Adds a problem of that field.
    pub fn add(&mut self, position: Position, field: &Field, message: impl fmt::Display) {
        let label = self.label;
        // The policy as a whole has no field.
        let name = if field.0.is_empty() { "policy".to_owned() } else { field.last().to_string() };
        self.problems.add(position, format_args!("{label}: {name} {message}"));
    }
}

/// Says that a field is not known, and which are known.
pub(super) fn unknown_field<'k>(key: &Text, known: impl Iterator<Item = &'k str>) -> String {
    let known = known.collect::<Vec<_>>().join(", ");
    if known.is_empty() {
        format!("unknown field `{key}`; none is expected here")
    } else {
        format!("unknown field `{key}`; expected one of {known}")
    }
}

/// An empty value of that kind.
fn nothing(schema: &Value) -> Value {
    match schema["type"].as_str() {
        Some("object") => Value::Object(serde_json::Map::new()),
        Some("array") => Value::Array(Vec::new()),
        Some("integer") => Value::from(0),
        _ => Value::from(""),
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value: node, referenced, defined } = Spanned::deserialize(deserializer)?;
        let span = defined.span();
        let byte = |offset: Option<u64>| usize::try_from(offset.unwrap_or(0)).unwrap_or(usize::MAX);
        let begin = byte(span.byte_offset());
        let bytes = begin..begin.saturating_add(byte(span.byte_len()));
        Ok(Self { position: referenced.into(), node, bytes })
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a policy")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Node, E> {
        Ok(Node::Absent)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Plain)
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Plain)
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Plain)
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Plain)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut found = Vec::new();
        while let Some(inner) = list.next_element()? {
            found.push(inner);
        }
        Ok(Node::List(found))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut found = Vec::new();
        while let Some(entry) = map.next_entry()? {
            found.push(entry);
        }
        Ok(Node::Fields(found))
    }
}
