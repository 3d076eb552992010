//! The file of orders across versions and accidents: what is not understood is kept.

use std::fs;

use serde_json::{Value, json};

use super::fixture::zones;

#[test]
fn orders_of_another_version_survive_this_one_and_a_damaged_file_is_moved_aside() {
    let mut zones = zones();
    zones.agent.answer("drain", &["zone=b"]);
    zones.agent.kill9();
    let path = zones.agent.run_directory().join("orders.json");
    let foreign = json!([{"slowStart": {"zone": "a"}}, {"drain": "rack=r1"}]);
    let mut orders = read(&path);
    orders.as_array_mut().expect("a list").extend(foreign.as_array().expect("a list").clone());
    fs::write(&path, orders.to_string()).expect("written");

    zones.agent.spawn_again().expect("the agent");
    zones.agent.wait_until_ready().expect("it is ready");
    assert_eq!(zones.agent.answer_json("orders", &[]), json!([{"drain": "zone=b"}]));
    zones.agent.answer("drain", &["node=n2"]);
    let mut expected = json!([{"drain": "node=n2"}, {"drain": "zone=b"}]);
    expected.as_array_mut().expect("a list").extend(foreign.as_array().expect("a list").clone());
    assert_eq!(read(&path), expected);
    let log = zones.agent.log();
    assert!(log.contains("an order that this version does not know is kept"), "{log}");

    zones.agent.kill9();
    let text = fs::read_to_string(&path).expect("orders");
    let damaged = &text[..text.len() / 2];
    fs::write(&path, damaged).expect("written");
    zones.agent.spawn_again().expect("the agent");
    zones.agent.wait_until_ready().expect("it is ready");
    zones.agent.answer("drain", &["node=n2"]);
    assert_eq!(read(&path), json!([{"drain": "node=n2"}]));
    let aside = fs::read_to_string(path.with_extension("damaged-1")).expect("the damaged file");
    assert_eq!(aside, damaged);
    zones.agent.finish().expect("the agent");
}

fn read(path: &std::path::Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).expect("orders")).expect("JSON")
}
