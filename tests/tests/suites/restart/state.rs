//! What an agent has made of the maps, told without the indices that it chose.

use std::collections::BTreeSet;

use redirector_tests::{agent::Agent, tables};
use serde_json::Value;

/// `redirector status`, sorted, without ids, slots, epochs and indices: they tell of the past.
pub(crate) fn services(agent: &Agent) -> Value {
    let mut services = agent.status()["services"].take();
    strip(&mut services);
    services
}

/// Whether two are the same. Shares may differ by how the alias method rounds: its order is that
/// of the indices.
pub(crate) fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(a, b)| is_same(a, b))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, value)| match other.get(name) {
                    Some(other) if name == "share" => {
                        let number = |value: &Value| value.as_i64().unwrap_or(i64::MIN / 2);
                        number(value).abs_diff(number(other)) <= 2
                    }
                    Some(other) => is_same(value, other),
                    None => false,
                })
        }
        _ => one == other,
    }
}

/// The backends that are ejected, each as its address and port.
pub(crate) fn ejected(agent: &Agent) -> BTreeSet<String> {
    let status = agent.status();
    let ejected = tables::backends(&status).filter(|backend| backend["usable"] == false);
    ejected.map(|backend| format!("{} {}", backend["address"], backend["port"])).collect()
}

/// Whether every backend of the probed service has answered.
pub(crate) fn are_probed(agent: &Agent) -> bool {
    let explained = agent.answer("explain", &["load/plain", "-o", "json"]);
    assert!(explained.contains("\"probes\""), "{explained}");
    !explained.contains("\"unknown\"")
}

fn strip(value: &mut Value) {
    match value {
        Value::Array(values) => {
            values.iter_mut().for_each(strip);
            values.sort_by_key(|value| {
                let key = |name| value.get(name).map(Value::to_string).unwrap_or_default();
                // A service has a table for each family.
                let first = value.get("frontends").map(|frontends| frontends[0].to_string());
                (key("name"), first, key("address"), key("port"))
            });
        }
        Value::Object(fields) => {
            for past in ["id", "slot", "epoch", "index", "node"] {
                fields.remove(past);
            }
            fields.values_mut().for_each(strip);
        }
        _ => {}
    }
}
