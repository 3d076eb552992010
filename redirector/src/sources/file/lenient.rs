//! Reads a file that is not as the schema wants it, to its end: every field that the schema does not know
//! and every value of another kind is added to the problems, and the rest is there to be validated.
//!
//! It keeps the whole file as a tree, which takes ten times its size: only what cannot be read
//! otherwise is read so.

use serde_saphyr::DuplicateKeyPolicy;

use super::{
    at::{At, Position, Text},
    invalid::Problems,
    options, schema,
    tree::{Tree, unknown_field},
};

/// Largest file in bytes of which all problems are found: of a larger one only the first.
const LARGEST: usize = 4 << 20;

/// What of a file can be validated, and what is wrong with its form; `None` if nothing is, or if it
/// is no YAML.
pub(super) fn read(text: &str) -> Option<(schema::File, Problems)> {
    if text.len() > LARGEST {
        return None;
    }
    let mut options = options();
    options.duplicate_keys = DuplicateKeyPolicy::PassThrough;
    let tree: Tree = serde_saphyr::from_str_with_options(text, options).ok()?;
    let mut problems = Problems::default();
    let file = Lenient { text, problems: &mut problems }.file(tree);
    (problems.count() > 0).then_some((file, problems))
}

struct Lenient<'a> {
    text: &'a str,
    problems: &'a mut Problems,
}

/// The fields of one object that are known.
struct Fields {
    position: Position,
    fields: Vec<(Text, Tree)>,
}

impl Fields {
    /// The value of a field, unless it is absent.
    fn take(&mut self, name: &str) -> Option<Tree> {
        let at = self.fields.iter().position(|(key, _)| key.value == name)?;
        let (_, found) = self.fields.swap_remove(at);
        (!found.is_absent()).then_some(found)
    }
}

impl Lenient<'_> {
    fn file(&mut self, tree: Tree) -> schema::File {
        let known = &["node", "allowLoopback", "services"];
        let Some(mut fields) = self.object(tree, known) else {
            let services = Some(Vec::new());
            return schema::File { node: None, allow_loopback: false, services };
        };
        schema::File {
            node: fields.take("node").map(|tree| self.node(tree)),
            allow_loopback: fields.take("allowLoopback").is_some_and(|tree| self.bool(&tree)),
            services: self.list(&mut fields, "services", Self::service),
        }
    }

    fn node(&mut self, tree: Tree) -> schema::Node {
        let mut fields = self.fields(tree, &["name", "zone", "region", "cluster"]);
        schema::Node {
            name: self.text(&mut fields, "name"),
            zone: self.text(&mut fields, "zone"),
            region: self.text(&mut fields, "region"),
            cluster: self.text(&mut fields, "cluster"),
        }
    }

    fn service(&mut self, tree: Tree) -> Option<At<schema::Service>> {
        let known = &["name", "frontends", "affinity", "backends", "policy"];
        let position = tree.position;
        let mut fields = self.object(tree, known)?;
        let value = schema::Service {
            name: self.text(&mut fields, "name"),
            frontends: self.list(&mut fields, "frontends", |lenient, tree| lenient.scalar(&tree)),
            affinity: fields.take("affinity").map(|tree| self.affinity(tree)),
            backends: self.list(&mut fields, "backends", Self::backend),
            policy: fields.take("policy"),
        };
        Some(At { value, position })
    }

    fn affinity(&mut self, tree: Tree) -> schema::Affinity {
        let mut fields = self.fields(tree, &["timeout"]);
        schema::Affinity { timeout: self.text(&mut fields, "timeout") }
    }

    fn backend(&mut self, tree: Tree) -> Option<At<schema::Backend>> {
        let known = &["address", "node", "zone", "region", "cluster", "weight"];
        let position = tree.position;
        let mut fields = self.object(tree, known)?;
        let value = schema::Backend {
            address: self.text(&mut fields, "address"),
            node: self.text(&mut fields, "node"),
            zone: self.text(&mut fields, "zone"),
            region: self.text(&mut fields, "region"),
            cluster: self.text(&mut fields, "cluster"),
            weight: self.text(&mut fields, "weight"),
        };
        Some(At { value, position })
    }

    /// The fields of an object, or none.
    fn fields(&mut self, tree: Tree, known: &[&str]) -> Fields {
        let position = tree.position;
        self.object(tree, known).unwrap_or(Fields { position, fields: Vec::new() })
    }

    fn object(&mut self, tree: Tree, known: &[&str]) -> Option<Fields> {
        let position = tree.position;
        let Some(fields) = tree.into_fields() else {
            self.problems.add(position, "expected fields, each `name: value`");
            return None;
        };
        let mut found: Vec<(Text, Tree)> = Vec::with_capacity(fields.len());
        for (key, value) in fields {
            if !known.contains(&key.value.as_str()) {
                self.problems.add(key.position, unknown_field(&key, known.iter().copied()));
            } else if found.iter().any(|(other, _)| other.value == key.value) {
                self.problems.add(key.position, format_args!("field `{key}` is given twice"));
            } else {
                found.push((key, value));
            }
        }
        Some(Fields { position, fields: found })
    }

    fn list<T>(
        &mut self,
        fields: &mut Fields,
        name: &'static str,
        read: impl Fn(&mut Self, Tree) -> Option<T>,
    ) -> Option<Vec<T>> {
        let tree = fields.take(name)?;
        let position = tree.position;
        let Some(list) = tree.into_list() else {
            self.problems.add(position, "expected a list");
            self.problems.is_wrong(fields.position, name);
            return Some(Vec::new());
        };
        let all = list.len();
        let found: Vec<T> = list.into_iter().filter_map(|inner| read(self, inner)).collect();
        if found.len() < all {
            self.problems.is_wrong(fields.position, name);
        }
        Some(found)
    }

    fn text(&mut self, fields: &mut Fields, name: &'static str) -> Option<Text> {
        let tree = fields.take(name)?;
        let found = self.scalar(&tree);
        if found.is_none() {
            self.problems.is_wrong(fields.position, name);
        }
        found
    }

    fn scalar(&mut self, tree: &Tree) -> Option<Text> {
        let found = tree.text(self.text);
        if found.is_none() {
            let why =
                if tree.is_absent() { "a value is missing" } else { "expected text or a number" };
            self.problems.add(tree.position, why);
        }
        found
    }

    fn bool(&mut self, tree: &Tree) -> bool {
        let text = tree.text(self.text).map(|text| text.value.to_ascii_lowercase());
        match text.as_deref() {
            Some("true") => return true,
            Some("false") => {}
            _ => self.problems.add(tree.position, "expected true or false"),
        }
        false
    }
}
