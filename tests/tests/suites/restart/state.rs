//! What an agent has made of the maps, told without the indices that it chose.

use std::collections::{BTreeMap, BTreeSet};

use redirector_tests::agent::Agent;
use serde_json::Value;

pub(crate) use redirector_tests::wait::wait_until;

/// `redirector status`, sorted, without ids, slots, epochs and indices: they tell of the past.
pub(crate) fn services(agent: &Agent) -> Value {
    let mut services = status(agent)["services"].take();
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
    fn collect(value: &Value, ejected: &mut BTreeSet<String>) {
        match value {
            Value::Array(values) => values.iter().for_each(|value| collect(value, ejected)),
            Value::Object(fields) => {
                if fields.get("usable") == Some(&Value::Bool(false)) {
                    ejected.insert(format!("{} {}", fields["address"], fields["port"]));
                }
                fields.values().for_each(|value| collect(value, ejected));
            }
            _ => {}
        }
    }
    let mut ejected = BTreeSet::new();
    collect(&status(agent)["services"], &mut ejected);
    ejected
}

/// Whether every backend of the probed service has answered.
pub(crate) fn are_probed(agent: &Agent) -> bool {
    let output = agent.ask("explain", &["load/plain", "-o", "json"]).expect("redirector explain");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let explained = String::from_utf8_lossy(&output.stdout);
    assert!(explained.contains("\"probes\""), "{explained}");
    !explained.contains("\"unknown\"")
}

/// What `/metrics` says, by name with labels.
pub(crate) fn metrics(agent: &Agent) -> BTreeMap<String, f64> {
    let (status, text) = agent.get("/metrics").expect("the metrics");
    assert_eq!(status, 200, "{text}");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.rsplit_once(' '));
    pairs.map(|(name, value)| (name.to_owned(), value.parse().expect("a number"))).collect()
}

fn status(agent: &Agent) -> Value {
    let output = agent.command("status", &["-o", "json"]).expect("redirector status");
    let output = output.wait_with_output().expect("redirector status");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
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
