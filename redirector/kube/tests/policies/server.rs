//! What the API server does with a policy, by the CRD alone: it prunes nulls, fills in defaults,
//! validates the structure, and evaluates the rules.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use cel::{Context, Env, Program, Value as Cel, extensions};
use jsonschema::Validator;
use redirector_kube::policies::crd;
use serde_json::Value;

/// By what an object was refused, and where.
#[derive(Debug)]
pub enum Refusal {
    /// The types and bounds of the schema.
    Structure { path: String, message: String },
    /// A rule in CEL.
    Rule { path: String, rule: String },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Structure { path, message } => write!(f, "{path:?}: {message}"),
            Self::Rule { path, rule } => write!(f, "{path:?}: {rule}"),
        }
    }
}

impl Refusal {
    pub fn path(&self) -> &str {
        match self {
            Self::Structure { path, .. } | Self::Rule { path, .. } => path,
        }
    }

    /// What refused it, as the table calls that.
    pub fn by(&self) -> &'static str {
        match self {
            Self::Structure { .. } => "structure",
            Self::Rule { .. } => "rule",
        }
    }
}

/// The part of the API server that knows the CRD.
pub struct Server {
    schema: Value,
    validator: Validator,
    env: Arc<Env>,
    rules: BTreeMap<String, Program>,
}

impl Server {
    pub fn new() -> Self {
        let schema = schema();
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        // The libraries that Kubernetes adds to CEL, as far as the rules need them.
        let mut env = Env::stdlib();
        env.add_extension(extensions::strings).expect("strings");
        let mut rules = BTreeMap::new();
        for rule in all_rules(&schema) {
            let program = env.compile(&rule).unwrap_or_else(|why| panic!("{rule}: {why}"));
            rules.insert(rule, program);
        }
        Self { schema, validator, env: Arc::new(env), rules }
    }

    /// The spec as it is stored.
    pub fn admit(&self, spec: &Value) -> Result<Value, Refusal> {
        let mut stored = spec.clone();
        fill(&self.schema, &mut stored);
        if let Some(error) = self.validator.iter_errors(&stored).next() {
            let path = dotted(error.instance_path().as_str());
            return Err(Refusal::Structure { path, message: error.to_string() });
        }
        self.rules(&self.schema, &stored, "")?;
        Ok(stored)
    }

    /// Every rule of the schema.
    pub fn all_rules(&self) -> impl Iterator<Item = &String> {
        self.rules.keys()
    }

    fn rules(&self, schema: &Value, value: &Value, path: &str) -> Result<(), Refusal> {
        for rule in rules_of(schema) {
            if !self.holds(rule, value) {
                return Err(Refusal::Rule { path: path.to_owned(), rule: rule.to_owned() });
            }
        }
        match value {
            Value::Object(fields) => fields.iter().try_for_each(|(name, inner)| {
                let Some(schema) = schema["properties"].get(name) else { return Ok(()) };
                let dot = if path.is_empty() { "" } else { "." };
                self.rules(schema, inner, &format!("{path}{dot}{name}"))
            }),
            Value::Array(list) => list.iter().enumerate().try_for_each(|(at, inner)| {
                self.rules(&schema["items"], inner, &format!("{path}[{at}]"))
            }),
            _ => Ok(()),
        }
    }

    fn holds(&self, rule: &str, this: &Value) -> bool {
        let mut context = Context::with_env(Arc::clone(&self.env));
        context.add_variable_from_value("self", cel::to_value(this).expect("JSON"));
        match self.rules[rule].execute(&context) {
            Ok(Cel::Bool(holds)) => holds,
            other => panic!("{rule} of {this}: {other:?}"),
        }
    }
}

/// The schema of a spec, from the CRD.
pub fn schema() -> Value {
    let definition = crd();
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    schema["properties"]["spec"].clone()
}

fn all_rules(schema: &Value) -> BTreeSet<String> {
    let mut found: BTreeSet<String> = rules_of(schema).map(str::to_owned).collect();
    let properties = schema["properties"].as_object().into_iter().flatten();
    let inner = properties.map(|(_, inner)| inner).chain(schema.get("items"));
    found.extend(inner.flat_map(all_rules));
    found
}

fn rules_of(schema: &Value) -> impl Iterator<Item = &str> {
    let rules = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
    rules.filter_map(|rule| rule["rule"].as_str())
}

/// Nulls of fields that may not be null are dropped, then defaults are filled in, outside first
/// (`apiextensions-apiserver` `defaulting`: `PruneNonNullableNullsWithoutDefaults`, `Default`).
/// Fields that the schema does not know are pruned.
fn fill(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let Some(known) = schema["properties"].as_object() else {
                fields.clear();
                return;
            };
            fields.retain(|name, inner| known.contains_key(name) && !inner.is_null());
            for (name, schema) in known {
                if let (None, Some(default)) = (fields.get(name), schema.get("default")) {
                    fields.insert(name.clone(), default.clone());
                }
                fields.get_mut(name).into_iter().for_each(|inner| fill(schema, inner));
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|inner| fill(&schema["items"], inner)),
        _ => {}
    }
}

/// `/tiers/2/name` as `tiers[2].name`.
fn dotted(pointer: &str) -> String {
    let mut path = String::new();
    for segment in pointer.split('/').skip(1) {
        if segment.bytes().all(|byte| byte.is_ascii_digit()) {
            path += &format!("[{segment}]");
        } else {
            path += if path.is_empty() { "" } else { "." };
            path += segment;
        }
    }
    path
}
