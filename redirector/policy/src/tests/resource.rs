//! The spec of an object: targets, and what holds between them and the tiers.

use redirector_core::service::{Members, ServiceRef};
use serde_json::{Value, json};

use super::super::{FailoverPolicyObjectSpec, ValidPolicy};

fn valid(spec: &Value) -> Result<ValidPolicy, String> {
    let spec = FailoverPolicyObjectSpec::read(spec)?;
    spec.validate().map_err(|invalid| invalid.to_string())
}

fn targets(names: &[&str]) -> Value {
    names.iter().map(|name| json!({"kind": "Service", "name": name})).collect()
}

#[test]
fn a_valid_one_says_its_targets_and_services_and_what_it_means() {
    let policy = valid(&json!({
        "targetRefs": [
            {"kind": "Service", "name": "checkout"},
            {"group": "", "kind": "Service", "name": "0-cart"},
        ],
        "tiers": [
            {"name": "near", "locality": "Zone"},
            {"name": "backup", "service": {"name": "spare", "port": "8080"}},
        ],
        "minHealthyPercent": 60,
        "unheardOf": true,
    }))
    .expect("a policy");
    assert_eq!(policy.targets().collect::<Vec<_>>(), ["checkout", "0-cart"]);
    let services: Vec<_> = policy.services().map(|(tier, other)| (tier, &*other.name)).collect();
    assert_eq!(services, [("backup", "spare")]);
    let own = ServiceRef("shop/checkout:http".into());
    let meant = policy.policy(&own, |tier| {
        ServiceRef(format!("shop/{}:{}", tier.name, tier.port.as_deref().unwrap_or("?")).into())
    });
    assert_eq!(meant.min_healthy_percent, 60);
    assert_eq!(meant.tiers[1].members, Members::Service(ServiceRef("shop/spare:8080".into())));
    let itself = policy.policy(&own, |_| own.clone());
    assert_eq!(itself.tiers.len(), 2, "a tier that is the service itself is an empty one");
}

#[test]
fn every_problem_is_told_with_its_field() {
    let tier = |service: Value| json!({"targetRefs": targets(&["a"]), "tiers": [{"name": "t", "service": service}]});
    let many: Vec<String> = (0..17).map(|at| format!("a{at}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (spec, expected) in [
        (json!([]), "spec must be an object"),
        (json!({}), "spec: missing field `targetRefs`"),
        (
            json!({"targetRefs": [{"kind": "Pod", "name": "a"}]}),
            "targetRefs[0].kind: unknown variant `Pod`, expected `Service`",
        ),
        (
            json!({"targetRefs": [{"kind": "Service", "group": "apps", "name": "a"}]}),
            "targetRefs[0].group: unknown variant `apps`, expected ``",
        ),
        (
            json!({"targetRefs": targets(&["a"]), "probe": {"http": {"port": "80"}}}),
            "probe.http.port: invalid type: string \"80\", expected i32",
        ),
        (json!({"targetRefs": []}), "targetRefs names no Service; name at least one"),
        (
            json!({"targetRefs": targets(&many)}),
            "targetRefs[16] is one too many; at most 16 are allowed",
        ),
        (
            json!({"targetRefs": targets(&["a", "b", "a"])}),
            "targetRefs[2].name \"a\" is already that of targetRefs[0]",
        ),
        (
            json!({"targetRefs": targets(&["shop/a"])}),
            "targetRefs[0].name \"shop/a\" is no name of a Service; use 1 to 63 lower-case \
             letters, digits and, between them, dashes",
        ),
        (
            tier(json!({"name": "a"})),
            "tiers[0].service.name \"a\" is one of targetRefs; name another Service",
        ),
        (
            tier(json!({"name": "b", "port": "HTTP"})),
            "tiers[0].service.port \"HTTP\" is none; use the name or the number of a port, of 1 \
             to 63 lower-case letters, digits and, between them, dashes",
        ),
        (
            json!({
                "targetRefs": targets(&["a"]),
                "tiers": [{"name": "terminating", "locality": "Node"}],
            }),
            "tiers[0].name \"terminating\" is reserved for the tier of backends that are about \
             to end; use another name",
        ),
    ] {
        assert_eq!(valid(&spec).expect_err(&spec.to_string()), expected, "{spec}");
    }
}
