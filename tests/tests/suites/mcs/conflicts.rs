//! Two clusters export one name and do not agree: the oldest export wins, and both hear of it.

use serde_json::{Value, json};

use super::world::{World, serve, share};

pub fn union(world: &World, name: &str) {
    let (first, second) = (world.first(), world.second());
    serve(first, name, &[("http", 80)], &json!({}));
    let with_sctp = json!([
        {"name": "http", "protocol": "TCP", "port": 80},
        {"name": "stream", "protocol": "SCTP", "port": 9_000},
    ]);
    serve(second, name, &[("http", 80)], &json!({"ports": with_sctp}));
    share(first, name, 0, &Value::Null);
    share(second, name, 1, &Value::Null);
    world.imports(name, |import| names(import) == ["http", "stream"]);
    both_hear(world, name);
}

pub fn ports(world: &World, name: &str) {
    let (first, second) = (world.first(), world.second());
    serve(first, name, &[("http", 80)], &json!({}));
    serve(second, name, &[("http", 8_081)], &json!({}));
    share(first, name, 1, &Value::Null);
    share(second, name, 0, &Value::Null);
    world.imports(name, |import| {
        names(import) == ["http"] && import["spec"]["ports"][0]["port"] == 8_081
    });
    both_hear(world, name);
}

pub fn headlessness(world: &World, name: &str) {
    let (first, second) = (world.first(), world.second());
    serve(first, name, &[("http", 80)], &json!({}));
    serve(second, name, &[("http", 80)], &json!({"clusterIP": "None", "clusterIPs": ["None"]}));
    share(first, name, 0, &Value::Null);
    share(second, name, 1, &Value::Null);
    both_hear(world, name);
    world.imports(name, |import| import["spec"]["type"] == "ClusterSetIP");
}

pub fn labels(world: &World, name: &str) {
    for (age, member) in [world.second(), world.first()].into_iter().enumerate() {
        serve(member, name, &[("http", 80)], &json!({}));
        let says = json!({"tier": member.name});
        let fields = json!({"exportedLabels": says, "exportedAnnotations": says});
        share(member, name, u8::try_from(age).expect("two"), &fields);
    }
    let oldest = world.second().name.as_str();
    world.imports(name, |import| {
        let metadata = &import["metadata"];
        metadata["labels"]["tier"] == oldest && metadata["annotations"]["tier"] == oldest
    });
    both_hear(world, name);
}

fn both_hear(world: &World, name: &str) {
    for member in [world.first(), world.second()] {
        let message = world.exported(member, name, "Conflict", "True");
        assert!(!message.is_empty());
    }
}

fn names(import: &Value) -> Vec<String> {
    let ports = import["spec"]["ports"].as_array().into_iter().flatten();
    let mut names: Vec<_> =
        ports.map(|port| port["name"].as_str().unwrap_or_default().to_owned()).collect();
    names.sort_unstable();
    names
}
