//! The schemas of statuses: conditions as Kubernetes has them (`metav1.Condition`).

use serde_json::{Value, json};

use super::super::condition::{ConditionKind, MAX_MESSAGE};

/// There are fewer kinds; other writers may add some of their own.
const MAX_CONDITIONS: usize = 8;

/// Of a FailoverPolicy.
pub(super) fn of_policy() -> Value {
    let kinds = [ConditionKind::Accepted, ConditionKind::Programmed, ConditionKind::Degraded];
    let kinds = kinds.map(|kind| format!("{}: {}", kind.name(), kind.meaning())).join(" ");
    json!({
        "type": "object",
        "description": "What has become of the policy; written by one of the agents, seen from its \
                        node.",
        "properties": {"observedGeneration": generation(), "conditions": conditions(&kinds)},
    })
}

/// Of a RemoteCluster.
pub(super) fn of_remote_cluster() -> Value {
    let count = |description: &str| json!({"type": "integer", "format": "int64", "minimum": 0, "description": description});
    let kinds = "Accepted: it is valid, and its ranges are its own. Connected: its API server answers. \
                 Synced: everything that it exports is known. Secure: the way there is encrypted.";
    json!({
        "type": "object",
        "description": "What is known of the cluster; written by redirector-clusters, on changes only.",
        "properties": {
            "phase": {
                "type": "string",
                "description": "Whether it is heard: Joining until it was in full, Live, Silent when it \
                                is not any more, Lost after keepFor, Leaving when it is about to be \
                                removed.",
                "enum": ["Joining", "Live", "Silent", "Lost", "Leaving"],
            },
            "services": count("How many Services of it are imported."),
            "endpoints": count("How many endpoints of it are imported."),
            "uid": {
                "type": "string",
                "description": "The metadata.uid of its namespace kube-system, as first heard: another \
                                one is another cluster.",
                "maxLength": 64,
            },
            "localCluster": {
                "type": "string",
                "description": "The id of the cluster that this object is in. Agents that may read no \
                                ClusterProperty go by it.",
                "maxLength": 63,
            },
            "observedGeneration": generation(),
            "conditions": conditions(kinds),
        },
    })
}

fn generation() -> Value {
    json!({
        "type": "integer",
        "format": "int64",
        "minimum": 0,
        "description": "The metadata.generation that this is about.",
    })
}

fn conditions(description: &str) -> Value {
    json!({
        "type": "array",
        "description": description,
        "maxItems": MAX_CONDITIONS,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "description": "One aspect of the state.",
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
                "observedGeneration": generation(),
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
    })
}
