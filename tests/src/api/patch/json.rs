//! JSON patch, RFC 6902.

use serde_json::Value;

/// `live` after every operation in turn. Errors: which one fails and why.
pub(super) fn patched(live: &Value, patch: &Value) -> Result<Value, String> {
    let operations = patch.as_array().ok_or("a JSON patch is a list of operations")?;
    let mut value = live.clone();
    for operation in operations {
        step(&mut value, operation).map_err(|why| format!("{operation}: {why}"))?;
    }
    Ok(value)
}

fn step(value: &mut Value, operation: &Value) -> Result<(), String> {
    let text = |field: &str| {
        operation[field].as_str().ok_or_else(|| format!("the field {field} is missing"))
    };
    let wanted =
        || operation.get("value").cloned().ok_or_else(|| "the field value is missing".to_owned());
    let (kind, path) = (text("op")?, text("path")?);
    match kind {
        "add" => add(value, path, wanted()?),
        "remove" => remove(value, path).map(drop),
        "replace" => {
            let wanted = wanted()?;
            let slot = value.pointer_mut(path).ok_or_else(|| missing(path))?;
            *slot = wanted;
            Ok(())
        }
        "move" => {
            let moved = remove(value, text("from")?)?;
            add(value, path, moved)
        }
        "copy" => {
            let from = text("from")?;
            let copied = value.pointer(from).cloned().ok_or_else(|| missing(from))?;
            add(value, path, copied)
        }
        "test" => {
            let found = value.pointer(path).ok_or_else(|| missing(path))?;
            let wanted = wanted()?;
            if *found == wanted { Ok(()) } else { Err(format!("{path} is {found}, not {wanted}")) }
        }
        other => Err(format!("there is no operation {other}")),
    }
}

fn missing(path: &str) -> String {
    format!("there is nothing at {path}")
}

/// What holds the last part of `path`, and that part.
fn parent<'a>(value: &'a mut Value, path: &str) -> Result<(&'a mut Value, String), String> {
    let (parent, last) = path.rsplit_once('/').ok_or_else(|| missing(path))?;
    let last = last.replace("~1", "/").replace("~0", "~");
    Ok((value.pointer_mut(parent).ok_or_else(|| missing(parent))?, last))
}

fn add(value: &mut Value, path: &str, added: Value) -> Result<(), String> {
    if path.is_empty() {
        *value = added;
        return Ok(());
    }
    match parent(value, path)? {
        (Value::Object(fields), name) => drop(fields.insert(name, added)),
        (Value::Array(list), end) if end == "-" => list.push(added),
        (Value::Array(list), index) => {
            let index = index.parse().ok().filter(|index| *index <= list.len());
            list.insert(index.ok_or_else(|| missing(path))?, added);
        }
        _ => return Err(missing(path)),
    }
    Ok(())
}

fn remove(value: &mut Value, path: &str) -> Result<Value, String> {
    let removed = match parent(value, path)? {
        (Value::Object(fields), name) => fields.remove(&name),
        (Value::Array(list), index) => {
            let index = index.parse().ok().filter(|index| *index < list.len());
            index.map(|index| list.remove(index))
        }
        _ => None,
    };
    removed.ok_or_else(|| missing(path))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn operations_follow_each_other() {
        let live = json!({"a": {"b/c": [1, 2]}, "d": 4});
        let patch = json!([
            {"op": "test", "path": "/d", "value": 4},
            {"op": "add", "path": "/a/b~1c/1", "value": 9},
            {"op": "add", "path": "/a/b~1c/-", "value": 3},
            {"op": "replace", "path": "/d", "value": {"e": 5}},
            {"op": "move", "from": "/d/e", "path": "/f"},
            {"op": "copy", "from": "/f", "path": "/g"},
            {"op": "remove", "path": "/a/b~1c/0"},
        ]);

        let patched = patched(&live, &patch).expect("a good patch");

        assert_eq!(patched, json!({"a": {"b/c": [9, 2, 3]}, "d": {}, "f": 5, "g": 5}));
    }

    #[test]
    fn what_cannot_be_done_is_refused_as_a_whole() {
        let live = json!({"a": [1]});
        for operation in [
            json!({"op": "test", "path": "/a/0", "value": 2}),
            json!({"op": "remove", "path": "/b"}),
            json!({"op": "replace", "path": "/b", "value": 1}),
            json!({"op": "add", "path": "/a/7", "value": 1}),
            json!({"op": "add", "path": "/a/0"}),
            json!({"op": "increment", "path": "/a/0"}),
        ] {
            let outcome = patched(&live, &json!([operation]));
            assert!(outcome.is_err(), "{operation}: {outcome:?}");
        }
    }
}
