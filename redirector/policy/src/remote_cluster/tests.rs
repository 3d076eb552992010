use std::time::Duration;

use serde_json::{Value, json};

use super::*;

fn valid(spec: &Value) -> Result<ValidRemoteCluster, String> {
    RemoteClusterSpec::read(spec)?.validate().map_err(|invalid| invalid.to_string())
}

fn with(field: &str, value: Value) -> Value {
    let mut spec = json!({"cidrs": ["10.2.0.0/16", "fd00:2::/48"], "encryption": {"mode": "Off"}});
    spec[field] = value;
    spec
}

#[test]
fn the_least_one_says_where_its_endpoints_are_and_how_they_are_secured() {
    let west = valid(&with("reach", json!(null))).expect("a valid one");
    assert_eq!((west.spec().reach, west.keep_for()), (Reach::Pod, Duration::from_mins(15)));
    assert!(west.has("10.2.3.4".parse().expect("an address")));
    assert!(!west.has("10.3.3.4".parse().expect("an address")));
    let gateways = valid(&with("reach", json!("LoadBalancer"))).expect("a valid one");
    assert_eq!(gateways.keep_for(), Duration::from_hours(24));
}

#[test]
fn what_is_wrong_is_said_with_its_field() {
    for (spec, why) in [
        (json!({"cidrs": ["10.2.0.0/16"]}), "spec: missing field `encryption`"),
        (json!({"encryption": {"mode": "Off"}}), "spec: missing field `cidrs`"),
        (
            with("cidrs", json!([])),
            "cidrs is empty; say where its endpoints are, such as 10.2.0.0/16",
        ),
        (
            with("cidrs", json!(["10.2.0.1/16"])),
            "cidrs[0] \"10.2.0.1/16\" has bits behind its length; write 10.2.0.0/16",
        ),
        (
            with("cidrs", json!(["0.0.0.0/0"])),
            "cidrs[0] \"0.0.0.0/0\" is every address; say where its endpoints are",
        ),
        (
            with("server", json!("https://west:6443")),
            "credentials is missing; with a server the importer needs them",
        ),
        (with("keepFor", json!("25h")), "keepFor 25h is not between 0s and 24h"),
    ] {
        assert_eq!(valid(&spec).expect_err("its problems"), why);
    }
}
