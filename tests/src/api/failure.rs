//! Why a request was refused: what becomes a `Status` object and its HTTP code.

use serde_json::{Value, json};

use super::resources::Resource;

/// A refusal, with the fields of `meta/v1 Status` that clients look at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {message}")]
pub struct Failure {
    /// HTTP status code.
    pub code: u16,
    /// `NotFound`, `Conflict`, `Invalid`, `Expired`…
    pub reason: &'static str,
    /// What went wrong, for people.
    pub message: String,
    /// `details.group`, `details.kind`, `details.name`.
    pub object: Option<Box<(String, String, String)>>,
    /// `details.causes`.
    pub causes: Vec<Cause>,
    /// `details.retryAfterSeconds`, and the header.
    pub retry_after: Option<u32>,
    /// `metadata.continue`: the token with which an expired list can go on, inconsistently.
    pub resume: Option<Box<str>>,
}

/// One thing that is wrong with a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// `FieldValueInvalid`, `FieldValueRequired`, `FieldManagerConflict`.
    pub reason: &'static str,
    /// What is wrong, for people.
    pub message: String,
    /// `spec.tiers[0].name`.
    pub field: String,
}

impl Cause {
    /// A value that is not allowed.
    #[must_use]
    pub fn invalid(field: &str, message: &str) -> Self {
        let (field, message) = (field.to_owned(), message.to_owned());
        Self { reason: "FieldValueInvalid", message, field }
    }
}

impl Failure {
    pub(super) fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        let (object, causes, retry_after, resume) = (None, Vec::new(), None, None);
        Self { code, reason, message, object, causes, retry_after, resume }
    }

    /// What the server answers with a code when nothing better is known.
    pub(super) fn of_code(code: u16) -> Self {
        let (reason, message) = match code {
            400 => ("BadRequest", "the server rejected our request for an unknown reason"),
            401 => ("Unauthorized", "Unauthorized"),
            403 => ("Forbidden", "forbidden"),
            404 => ("NotFound", "the server could not find the requested resource"),
            409 => ("Conflict", "the server reported a conflict"),
            410 => ("Expired", "too old resource version"),
            422 => ("Invalid", "the server rejected our request due to an error in our request"),
            429 => ("TooManyRequests", "Too many requests, please try again later."),
            500 => ("InternalError", "Internal error occurred: injected by a test"),
            503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
            504 => ("Timeout", "the server was unable to return a response in the time allotted"),
            _ => ("", "an answer that a test has ordered"),
        };
        Self::new(code, reason, message)
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(super) fn not_found(resource: &Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", resource.qualified());
        Self::new(404, "NotFound", message).about(resource, name)
    }

    pub(super) fn exists(resource: &Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", resource.qualified());
        Self::new(409, "AlreadyExists", message).about(resource, name)
    }

    pub(super) fn conflict(resource: &Resource, name: &str, why: &str) -> Self {
        let what = resource.qualified();
        let message = format!("Operation cannot be fulfilled on {what} \"{name}\": {why}");
        Self::new(409, "Conflict", message).about(resource, name)
    }

    pub(super) fn modified(resource: &Resource, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version \
                   and try again";
        Self::conflict(resource, name, why)
    }

    pub(super) fn invalid(resource: &Resource, name: &str, causes: Vec<Cause>) -> Self {
        let list: Vec<_> =
            causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
        let kind = match resource.group {
            "" => resource.kind.to_owned(),
            group => format!("{}.{group}", resource.kind),
        };
        let message = format!("{kind} \"{name}\" is invalid: {}", list.join(", "));
        let mut failure = Self::new(422, "Invalid", message);
        let object = (resource.group.into(), resource.kind.into(), name.into());
        failure.object = Some(Box::new(object));
        failure.causes = causes;
        failure
    }

    /// What etcd's compaction and the watch cache's window answer.
    pub(super) fn expired(wanted: u64, oldest: u64) -> Self {
        Self::new(410, "Expired", format!("too old resource version: {wanted} ({oldest})"))
    }

    fn about(mut self, resource: &Resource, name: &str) -> Self {
        let object = (resource.group.into(), resource.plural.into(), name.into());
        self.object = Some(Box::new(object));
        self
    }

    /// The `Status` object.
    #[must_use]
    pub fn status(&self) -> Value {
        let Self { code, reason, message, object, causes, retry_after, resume } = self;
        let mut details = serde_json::Map::new();
        if let Some((group, kind, name)) = object.as_deref() {
            details.insert("name".into(), json!(name));
            details.insert("kind".into(), json!(kind));
            if !group.is_empty() {
                details.insert("group".into(), json!(group));
            }
        }
        if !causes.is_empty() {
            let causes = causes.iter().map(|cause| {
                json!({"reason": cause.reason, "message": cause.message, "field": cause.field})
            });
            details.insert("causes".into(), causes.collect());
        }
        if let Some(seconds) = retry_after {
            details.insert("retryAfterSeconds".into(), json!(seconds));
        }
        let mut metadata = json!({});
        if let Some(token) = resume {
            metadata["continue"] = json!(token);
        }
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": metadata, "status": "Failure",
            "message": message, "reason": reason, "code": code,
        });
        if !details.is_empty() {
            status["details"] = Value::Object(details);
        }
        status
    }
}
