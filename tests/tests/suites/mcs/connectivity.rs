//! Who answers by the address of an import, as kube-proxy would choose.

use serde_json::{Value, json};

use super::world::{World, chosen, import, serve, share, slices};

const HTTP: [(&str, u16); 1] = [("http", 80)];

pub fn not_exported(world: &World, name: &str) {
    serve(world.first(), name, &HTTP, &json!({}));
    world.always("it is nowhere", || {
        world.all().iter().all(|member| {
            import(member, name).is_none()
                && slices(member, name).is_empty()
                && chosen(member, name, "http").is_empty()
        })
    });
}

pub fn accessible(world: &World, name: &str) {
    let first = world.first();
    serve(first, name, &HTTP, &json!({}));
    share(first, name, 0, &Value::Null);
    let has_addresses =
        |import: &Value| import["spec"]["ips"].as_array().is_some_and(|ips| !ips.is_empty());
    world.imports(name, has_addresses);
    for member in world.all() {
        only(world, member, name, ("http", &[&first.name]));
    }
}

pub fn exporter_only(world: &World, name: &str) {
    serve(world.first(), name, &HTTP, &json!({}));
    serve(world.second(), name, &HTTP, &json!({}));
    share(world.second(), name, 0, &Value::Null);
    for member in world.all() {
        only(world, member, name, ("http", &[&world.second().name]));
    }
}

pub fn same_name(world: &World, name: &str) {
    serve(world.first(), name, &[("http", 80)], &json!({}));
    serve(world.second(), name, &[("http", 8_081)], &json!({}));
    share(world.first(), name, 0, &Value::Null);
    share(world.second(), name, 1, &Value::Null);
    world.exported(world.second(), name, "Conflict", "True");
    for member in world.all() {
        only(world, member, name, ("http", &[&world.first().name]));
    }
}

pub fn other_names(world: &World, name: &str) {
    serve(world.first(), name, &[("http", 80)], &json!({}));
    serve(world.second(), name, &[("admin", 81)], &json!({}));
    share(world.first(), name, 0, &Value::Null);
    share(world.second(), name, 1, &Value::Null);
    world.exported(world.second(), name, "Conflict", "True");
    for member in world.all() {
        only(world, member, name, ("http", &[&world.first().name]));
        only(world, member, name, ("admin", &[&world.second().name]));
    }
}

/// Exactly these clusters answer, ten times.
fn only(
    world: &World,
    member: &redirector_tests::fleet::Member,
    name: &str,
    (port, clusters): (&str, &[&str]),
) {
    let wanted = || clusters.iter().map(|&cluster| cluster.to_owned()).collect();
    let what = format!("{port} of {name} in {} is answered by {clusters:?}", member.name);
    world.until(&what, || world.answers(member, name, port) == wanted());
    for _ in 0..10 {
        assert_eq!(world.answers(member, name, port), wanted(), "{what}");
    }
}
