//! Label and field selectors, as lists, watches and collection deletes take them.

use super::{failure::Failure, object::Stored, resources::Resource};

/// What an object must be like to be listed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<(String, bool, String)>,
}

#[derive(Debug, Clone)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

impl Selector {
    pub fn parse(resource: &Resource, labels: &str, fields: &str) -> Result<Self, Failure> {
        let labels = split(labels).map(requirement).collect::<Result<_, _>>()?;
        let fields = fields.split(',').filter(|term| !term.trim().is_empty());
        let fields = fields.map(|term| field(resource, term)).collect::<Result<_, _>>()?;
        Ok(Self { labels, fields })
    }

    pub fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub fn matches(&self, object: &Stored) -> bool {
        let labels = self.labels.iter().all(|requirement| match requirement {
            Requirement::In(key, values) => {
                object.labels.get(key).is_some_and(|value| values.contains(value))
            }
            Requirement::NotIn(key, values) => {
                object.labels.get(key).is_none_or(|value| !values.contains(value))
            }
            Requirement::Exists(key) => object.labels.contains_key(key),
            Requirement::Absent(key) => !object.labels.contains_key(key),
        });
        labels
            && self.fields.iter().all(|(field, is_equal, wanted)| {
                let found = match field.as_str() {
                    "metadata.name" => &object.key.1,
                    "metadata.namespace" => &object.key.0,
                    other => object.fields.get(other).unwrap_or(&EMPTY),
                };
                (found == wanted) == *is_equal
            })
    }
}

static EMPTY: String = String::new();

/// Splits a text at the commas that are not within parentheses.
fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0;
    let terms = text.split(move |letter| {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        letter == ',' && depth == 0
    });
    terms.map(str::trim).filter(|term| !term.is_empty())
}

fn requirement(term: &str) -> Result<Requirement, Failure> {
    let key = |key: &str| -> Result<String, Failure> {
        let key = key.trim();
        let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_./".contains(letter);
        if key.is_empty() || !key.chars().all(is_allowed) {
            let why = format!("unable to parse requirement: {term:?} is no label selector");
            return Err(Failure::bad_request(why));
        }
        Ok(key.to_owned())
    };
    let one = |value: &str| vec![value.trim().to_owned()];
    if let Some(absent) = term.strip_prefix('!') {
        return Ok(Requirement::Absent(key(absent)?));
    }
    if let Some((name, value)) = term.split_once("!=") {
        return Ok(Requirement::NotIn(key(name)?, one(value)));
    }
    if let Some((name, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        return Ok(Requirement::In(key(name)?, one(value)));
    }
    let Some((before, values)) = term.split_once('(') else {
        return Ok(Requirement::Exists(key(term)?));
    };
    let values = values.trim_end_matches(')').split(',').map(|value| value.trim().to_owned());
    let before = before.trim();
    if let Some(name) = before.strip_suffix(" notin") {
        return Ok(Requirement::NotIn(key(name)?, values.collect()));
    }
    let name = before.strip_suffix(" in").unwrap_or(before);
    Ok(Requirement::In(key(name)?, values.collect()))
}

fn field(resource: &Resource, term: &str) -> Result<(String, bool, String), Failure> {
    let (name, is_equal, value) = if let Some((name, value)) = term.split_once("!=") {
        (name, false, value)
    } else if let Some((name, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        (name, true, value)
    } else {
        return Err(Failure::bad_request(format!("invalid selector: {term:?}")));
    };
    let name = name.trim();
    if !matches!(name, "metadata.name" | "metadata.namespace")
        && !resource.selectable.contains(&name)
    {
        return Err(Failure::bad_request(format!("field label not supported: {name}")));
    }
    // Kept under the newer name, see `events`.
    let name = name.replace("involvedObject.", "regarding.");
    Ok((name, is_equal, value.trim().to_owned()))
}
