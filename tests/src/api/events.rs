//! Events under the older name: `v1` and `events.k8s.io/v1` are the same objects with other fields.

use serde_json::Value;

/// An event as `kubectl describe` and `kubectl get events` read it.
pub(crate) fn as_core(mut event: Value) -> Value {
    let Some(fields) = event.as_object_mut() else { return event };
    fields.insert("apiVersion".into(), "v1".into());
    for (new, old) in [
        ("regarding", "involvedObject"),
        ("note", "message"),
        ("reportingController", "reportingComponent"),
        ("deprecatedCount", "count"),
        ("deprecatedFirstTimestamp", "firstTimestamp"),
        ("deprecatedLastTimestamp", "lastTimestamp"),
        ("deprecatedSource", "source"),
    ] {
        if let Some(value) = fields.remove(new) {
            fields.insert(old.into(), value);
        }
    }
    event
}
