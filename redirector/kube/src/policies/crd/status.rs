//! The schema of a policy's status: conditions as Kubernetes has them (`metav1.Condition`).

use serde_json::{Value, json};

use super::super::condition::{ConditionKind, MAX_MESSAGE};

/// There are fewer kinds; other writers may add some of their own.
const MAX_CONDITIONS: usize = 8;

pub(super) fn schema() -> Value {
    let generation = json!({
        "type": "integer",
        "format": "int64",
        "minimum": 0,
        "description": "The metadata.generation that this is about.",
    });
    json!({
        "type": "object",
        "description": "What has become of the policy; written by one of the agents, seen from its \
                        node.",
        "properties": {
            "observedGeneration": generation,
            "conditions": {
                "type": "array",
                "description": conditions(),
                "maxItems": MAX_CONDITIONS,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
                "items": {
                    "type": "object",
                    "description": "One aspect of the policy's state.",
                    "required": ["lastTransitionTime", "message", "reason", "status", "type"],
                    "properties": {
                        "type": {
                            "type": "string",
                            "description": "Which aspect.",
                            "minLength": 1,
                            "maxLength": 316,
                            "pattern": "^[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?$",
                        },
                        "status": {
                            "type": "string",
                            "description": "Whether it holds.",
                            "enum": ["True", "False", "Unknown"],
                        },
                        "observedGeneration": generation,
                        "lastTransitionTime": {
                            "type": "string",
                            "format": "date-time",
                            "description": "When the status last changed.",
                            "maxLength": 64,
                        },
                        "reason": {
                            "type": "string",
                            "description": "Why, in one word.",
                            "minLength": 1,
                            "maxLength": 1024,
                            "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
                        },
                        "message": {
                            "type": "string",
                            "description": "Why, in a sentence.",
                            "maxLength": MAX_MESSAGE,
                        },
                    },
                },
            },
        },
    })
}

fn conditions() -> String {
    let kinds = [ConditionKind::Accepted, ConditionKind::Programmed, ConditionKind::Degraded];
    kinds.map(|kind| format!("{}: {}", kind.name(), kind.meaning())).join(" ")
}
