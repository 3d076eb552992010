//! Strategic merge patch, as far as kubectl makes them for built-in kinds: lists with a merge key,
//! `$patch`, `$deleteFromPrimitiveList`. The order of lists is kept as it is.

use serde_json::{Map, Value};

use super::schema::{self, List};
use crate::api::resources::Resource;

/// Makes `value` what `patch` wants; `path` is where they are.
pub(super) fn merge(resource: &Resource, value: &mut Value, patch: Value, path: &str) {
    let Value::Object(mut patch) = patch else {
        *value = patch;
        return;
    };
    if patch.remove("$patch").is_some_and(|order| order == "replace") || !value.is_object() {
        *value = Value::Object(Map::new());
    }
    patch.remove("$retainKeys");
    let Some(fields) = value.as_object_mut() else { return };
    for (name, wanted) in patch {
        if name.starts_with("$setElementOrder/") {
            continue;
        }
        if let Some(name) = name.strip_prefix("$deleteFromPrimitiveList/") {
            let gone = wanted.as_array().cloned().unwrap_or_default();
            if let Some(list) = fields.get_mut(name).and_then(Value::as_array_mut) {
                list.retain(|item| !gone.contains(item));
            }
            continue;
        }
        let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match wanted {
            Value::Null => drop(fields.remove(&name)),
            Value::Array(items) => {
                let slot = fields.entry(name).or_insert_with(|| Value::Array(Vec::new()));
                merge_list(resource, slot, items, &below);
            }
            Value::Object(ref map) if map.get("$patch").is_some_and(|order| order == "delete") => {
                fields.remove(&name);
            }
            wanted => merge(resource, fields.entry(name).or_insert(Value::Null), wanted, &below),
        }
    }
}

fn merge_list(resource: &Resource, slot: &mut Value, items: Vec<Value>, path: &str) {
    if schema::list(resource, path) == List::Set {
        let Some(list) = slot.as_array_mut() else { return *slot = Value::Array(items) };
        for item in items {
            if !list.contains(&item) {
                list.push(item);
            }
        }
        return;
    }
    let (Some(key), Some(list)) = (schema::merge_key(resource, path), slot.as_array_mut()) else {
        *slot = Value::Array(items);
        return;
    };
    if items.iter().any(|item| item["$patch"] == "replace") {
        list.clear();
    }
    for mut item in items {
        let order = item.as_object_mut().and_then(|item| item.remove("$patch"));
        let same = list.iter().position(|found| found[key] == item[key]);
        match (order.as_ref().and_then(Value::as_str), same) {
            (Some("replace"), _) => {}
            (Some("delete"), Some(index)) => drop(list.remove(index)),
            (Some("delete"), None) => {}
            (_, Some(index)) => merge(resource, &mut list[index], item, path),
            (_, None) => {
                list.push(Value::Null);
                let last = list.len() - 1;
                merge(resource, &mut list[last], item, path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::resources;

    #[test]
    fn lists_merge_by_their_key_and_directives_are_followed() {
        let mut service = json!({"metadata": {"finalizers": ["a", "b"], "labels": {"x": "1", "y": "2"}},
            "spec": {"selector": {"app": "one"}, "ports": [{"port": 80, "name": "http"}, {"port": 81}],
                     "externalIPs": ["192.0.2.1"]}});
        let patch = json!({
            "metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "labels": {"x": null, "z": "3"}},
            "spec": {
                "$setElementOrder/ports": [{"port": 80}],
                "selector": {"$patch": "replace", "app": "two"},
                "ports": [{"port": 80, "name": "web"}, {"port": 81, "$patch": "delete"}, {"port": 82}],
                "externalIPs": ["192.0.2.2"],
            },
        });

        merge(resources::named("services"), &mut service, patch, "");

        assert_eq!(
            service,
            json!({"metadata": {"finalizers": ["b"], "labels": {"y": "2", "z": "3"}},
                   "spec": {"selector": {"app": "two"}, "externalIPs": ["192.0.2.2"],
                            "ports": [{"port": 80, "name": "web"}, {"port": 82}]}})
        );
    }
}
