//! Services without an address, and those that are only a name.

use serde_json::{Value, json};

use super::world::{World, import, serve, share};

const HTTP: [(&str, u16); 1] = [("http", 80)];

pub fn import_and_none(world: &World, name: &str) {
    headless(world, name);
    for import in world.imports(name, |_| true) {
        assert_eq!(import["spec"]["type"], "Headless", "{import}");
    }
    world.first().unexport(name);
    world.until("it is gone everywhere", || {
        world.all().iter().all(|member| import(member, name).is_none())
    });
}

pub fn no_address(world: &World, name: &str) {
    headless(world, name);
    world.imports(name, |_| true);
    world.always("it has no address", || {
        let imports = world.all().iter().filter_map(|member| import(member, name));
        imports
            .map(|import| import["spec"]["ips"].clone())
            .all(|ips| ips.is_null() || ips == json!([]))
    });
}

pub fn external_name(world: &World, name: &str) {
    let first = world.first();
    let fields = json!({"type": "ExternalName", "externalName": "example.com", "ports": []});
    serve(first, name, &HTTP, &fields);
    share(first, name, 0, &Value::Null);
    world.exported(first, name, "Valid", "False");
    world.always("no import", || world.all().iter().all(|member| import(member, name).is_none()));
}

fn headless(world: &World, name: &str) {
    serve(world.first(), name, &HTTP, &json!({"clusterIP": "None", "clusterIPs": ["None"]}));
    share(world.first(), name, 0, &Value::Null);
}
