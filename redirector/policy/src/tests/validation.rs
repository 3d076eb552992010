//! What a policy means, and which policies are refused.

use redirector_common::{AllDown, Limits};
use redirector_core::{
    locality::Place,
    service::{
        Failback, FailbackMode, Members, Mode, OnBackendLost, Policy, Probe, ProbeKind, ServiceRef,
        TierRule,
    },
};
use serde_json::{Value, json};

use super::super::{FailoverPolicySpec, Invalid, TierServiceSpec};

fn own() -> ServiceRef {
    ServiceRef("shop/checkout".into())
}

fn refer(service: &TierServiceSpec) -> Result<ServiceRef, String> {
    match service.name.as_str() {
        "bad" => Err("is bad".to_owned()),
        name => Ok(ServiceRef(format!("shop/{name}").into())),
    }
}

fn policy(spec: Value) -> Result<Policy, Invalid> {
    let spec: FailoverPolicySpec = serde_json::from_value(spec).expect("a policy's fields");
    let (policy, problems) = spec.convert(&own(), refer);
    if problems.is_empty() { Ok(policy) } else { Err(Invalid(problems)) }
}

fn everything() -> Value {
    json!({
        "tiers": [
            {"name": "near", "locality": "Zone"},
            {"name": "named", "zones": ["a", "b"], "clusters": ["west"]},
            {"name": "backup", "service": {"name": "checkout-backup", "port": "http"}},
            {"name": "dr", "clusters": ["*"], "service": {"name": "checkout-dr"}},
        ],
        "mode": "Spill",
        "overprovisioningPercent": 200,
        "minHealthyPercent": 60,
        "failback": {"mode": "Manual", "holdDown": "1m", "ramp": "0s"},
        "allDown": "Refuse",
        "connectTimeout": "300ms",
        "onBackendLost": "Reset",
        "passive": {
            "refused": 1, "timeouts": 0, "unresponsive": 9, "baseEjection": "2s", "maxEjection": "24h",
        },
        "probe": {
            "http": {"path": "/healthz?full=1", "host": "shop", "port": 8080, "status": "204"},
            "interval": "2s", "fastInterval": "300ms", "timeout": "2s", "unhealthy": 1,
            "healthy": 100,
        },
    })
}

#[test]
fn every_field_is_understood() {
    let tier = |name: &str, members| TierRule { name: name.into(), members };
    let expected = Policy {
        tiers: vec![
            tier("near", Members::Within(Place::Zone)),
            tier(
                "named",
                Members::Named {
                    zones: vec!["a".into(), "b".into()],
                    regions: vec![],
                    clusters: vec!["west".into()],
                },
            ),
            tier("backup", Members::Service(ServiceRef("shop/checkout-backup".into()))),
            tier(
                "dr",
                Members::Exported {
                    service: ServiceRef("shop/checkout-dr".into()),
                    clusters: vec!["*".into()],
                },
            ),
        ],
        mode: Mode::Spill,
        overprovisioning_percent: 200,
        min_healthy_percent: 60,
        failback: Some(Failback { mode: FailbackMode::Manual, hold_down_ms: 60_000, ramp_ms: 0 }),
        all_down: AllDown::Refuse,
        on_backend_lost: OnBackendLost::Reset,
        limits: Limits {
            refused: 1,
            timeouts: 0,
            connect_timeout_ms: 300,
            base_ejection_ms: 2_000,
            max_ejection_ms: 86_400_000,
        },
        unresponsive: 9,
        probe: Some(Probe {
            kind: ProbeKind::Http {
                path: "/healthz?full=1".into(),
                host: Some("shop".into()),
                status: (204, 204),
            },
            port: Some(8080),
            interval_ms: 2_000,
            fast_interval_ms: 300,
            timeout_ms: 2_000,
            unhealthy: 1,
            healthy: 100,
        }),
    };
    assert_eq!(policy(everything()), Ok(expected));
}

#[test]
fn an_empty_policy_is_the_default_with_fail_back() {
    let expected = Policy { failback: Some(Failback::default()), ..Policy::default() };
    assert_eq!(policy(json!({})), Ok(expected));
}

#[test]
fn omitted_fields_follow_those_that_are_given() {
    let probe = |spec| policy(spec).expect("a policy").probe.expect("a probe");
    let short = probe(json!({"probe": {"grpc": {"service": "a.B"}, "interval": "100ms"}}));
    assert_eq!(short.kind, ProbeKind::Grpc { service: "a.B".into() });
    assert_eq!((short.interval_ms, short.fast_interval_ms, short.timeout_ms), (100, 100, 100));
    let http = probe(json!({"probe": {"http": {}}}));
    let kind = ProbeKind::Http { path: "/".into(), host: None, status: (200, 399) };
    assert_eq!(http, Probe { kind, ..Probe::default() });
    let fast = |spec| probe(json!({"probe": spec})).fast_interval_ms;
    assert_eq!(fast(json!({})), 200);
    assert_eq!(fast(json!({"interval": "1h", "fastInterval": "0s"})), 3_600_000, "no hurry");
    assert_eq!(fast(json!({"fastInterval": "1s"})), 1_000, "no hurry either");
    let limits = |spec| policy(spec).expect("a policy").limits;
    let short = limits(json!({"passive": {"maxEjection": "5s"}}));
    assert_eq!((short.base_ejection_ms, short.max_ejection_ms), (5_000, 5_000));
    let long = limits(json!({"passive": {"baseEjection": "10m"}}));
    assert_eq!((long.base_ejection_ms, long.max_ejection_ms), (600_000, 600_000));
}

#[test]
fn what_is_written_is_read_back() {
    let spec: FailoverPolicySpec = serde_json::from_value(everything()).expect("a policy");
    assert_eq!(serde_json::to_value(&spec).expect("JSON"), everything());
    let nothing = serde_json::to_value(FailoverPolicySpec::default()).expect("JSON");
    assert_eq!(nothing, json!({}));
}

#[test]
fn every_problem_is_told_with_its_field_and_what_is_allowed() {
    let tier = |fields: Value| json!({"tiers": [fields]});
    for (spec, expected) in [
        (
            json!({"tiers": []}),
            "tiers lists no tier; list at least one, or leave it out for localities",
        ),
        (tier(json!({"locality": "Zone"})), "tiers[0] has no name; give it one"),
        (
            tier(json!({"name": "West", "locality": "Zone"})),
            "tiers[0].name \"West\" is none; use 1 to 63 lower-case letters, digits and, between \
             them, dashes",
        ),
        (
            tier(json!({"name": "a"})),
            "tiers[0] has no members; give it a locality, zones, regions, clusters or a service",
        ),
        (
            tier(json!({"name": "a", "locality": "Zone", "zones": ["a"]})),
            "tiers[0] has members of several kinds; give it one of locality, \
             zones/regions/clusters, and service",
        ),
        (
            tier(json!({"name": "a", "zones": []})),
            "tiers[0].zones lists nothing; list at least one, or leave it out for any",
        ),
        (
            tier(json!({"name": "a", "zones": ["a", "b c"]})),
            "tiers[0].zones[1] contains ' '; names of places have printable ASCII characters only",
        ),
        (
            tier(json!({"name": "a", "service": {"name": "checkout"}})),
            "tiers[0].service is the service itself; name another one",
        ),
        (tier(json!({"name": "a", "service": {"name": "bad"}})), "tiers[0].service.name is bad"),
        (
            tier(json!({"name": "a", "service": {}})),
            "tiers[0].service has no name; name another service",
        ),
        (
            json!({"overprovisioningPercent": 99}),
            "overprovisioningPercent 99 is not between 100 and 1000",
        ),
        (
            json!({"overprovisioningPercent": 1001}),
            "overprovisioningPercent 1001 is not between 100 and 1000",
        ),
        (json!({"minHealthyPercent": 0}), "minHealthyPercent 0 is not between 1 and 100"),
        (json!({"minHealthyPercent": 101}), "minHealthyPercent 101 is not between 1 and 100"),
        (json!({"connectTimeout": "299ms"}), "connectTimeout 299ms is not between 300ms and 60s"),
        (json!({"connectTimeout": "61s"}), "connectTimeout 61s is not between 300ms and 60s"),
        (
            json!({"connectTimeout": "off"}),
            "connectTimeout \"off\" is no duration such as 500ms, 1s or 3h",
        ),
        (json!({"failback": {"holdDown": "2h"}}), "failback.holdDown 2h is not between 0s and 1h"),
        (json!({"failback": {"ramp": "61m"}}), "failback.ramp 61m is not between 0s and 1h"),
        (json!({"passive": {"refused": 101}}), "passive.refused 101 is not between 0 and 100"),
        (json!({"passive": {"timeouts": -1}}), "passive.timeouts -1 is not between 0 and 100"),
        (
            json!({"passive": {"unresponsive": 101}}),
            "passive.unresponsive 101 is not between 0 and 100",
        ),
        (
            json!({"passive": {"baseEjection": "20s", "maxEjection": "10s"}}),
            "passive.baseEjection 20s is above the maxEjection of 10s",
        ),
        (
            json!({"passive": {"maxEjection": "25h"}}),
            "passive.maxEjection 25h is not between 1s and 24h",
        ),
        (
            json!({"probe": {"tcp": {}, "grpc": {}}}),
            "probe is of several kinds; give it at most one of tcp, http and grpc",
        ),
        (json!({"probe": {"timeout": "2s"}}), "probe.timeout 2s is above the interval of 1s"),
        (
            json!({"probe": {"interval": "100ms", "timeout": "50ms", "fastInterval": "150ms"}}),
            "probe.fastInterval 150ms is above the interval of 100ms",
        ),
        (
            json!({"probe": {"fastInterval": "10ms"}}),
            "probe.fastInterval 10ms is not 0s or between 50ms and 60s",
        ),
        (json!({"probe": {"http": {"port": 0}}}), "probe.http.port 0 is not between 1 and 65535"),
        (
            json!({"probe": {"grpc": {"port": 65536}}}),
            "probe.grpc.port 65536 is not between 1 and 65535",
        ),
        (
            json!({"probe": {"http": {"path": "healthz"}}}),
            "probe.http.path \"healthz\" is no path such as /healthz or /ready?full=1, of at most \
             1024 characters; write others as %20",
        ),
        (
            json!({"probe": {"http": {"host": "a\r\nb: c"}}}),
            "probe.http.host \"a\\r\\nb: c\" is no host such as shop.example or shop.example:8080",
        ),
        (
            json!({"probe": {"http": {"status": "399-200"}}}),
            "probe.http.status \"399-200\" is no status such as 204 and no range such as 200-399",
        ),
        (
            json!({"probe": {"grpc": {"service": "a b"}}}),
            "probe.grpc.service \"a b\" is no service such as shop.Checkout, of at most 253 \
             characters",
        ),
    ] {
        let refused = policy(spec.clone()).expect_err(&spec.to_string());
        assert_eq!(refused.to_string(), expected, "{spec}");
    }
    let several = json!({"minHealthyPercent": 0, "passive": {"refused": 200}});
    assert_eq!(policy(several).expect_err("two problems").0.len(), 2);
}

#[test]
fn what_contradicts_or_is_too_much_in_a_list_of_tiers_is_told_where_it_stands() {
    let tiers = |names: &[&str]| {
        let tier = |name: &&str| json!({"name": name, "locality": "Zone"});
        policy(json!({"tiers": names.iter().map(tier).collect::<Vec<_>>()}))
    };
    assert!(tiers(&["a", "b", "c", "d", "e", "f", "g", "h"]).is_ok());
    let nine = tiers(&["a", "b", "c", "d", "e", "f", "g", "h", "i"]).expect_err("nine");
    assert_eq!(nine.to_string(), "tiers[8] is one too many; at most 8 tiers are allowed");
    let twice = tiers(&["a", "b", "a"]).expect_err("a name twice");
    assert_eq!(twice.to_string(), "tiers[2].name \"a\" is already that of tiers[0]");
}
