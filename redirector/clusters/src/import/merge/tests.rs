//! Precedence and conflicts, field by field.

use super::{
    super::tests::exporter::{port, spec},
    *,
};

/// Merges what `old` and `new` export. `old` is the older one, whatever its name.
fn of(old: (&str, ExportedServiceSpec), new: (&str, ExportedServiceSpec)) -> Merged {
    let names: [Arc<str>; 2] = [old.0.into(), new.0.into()];
    let in_order = [(&names[0], &old.1), (&names[1], &new.1)];
    let reversed = [(&names[1], &new.1), (&names[0], &old.1)];
    let merged = merge(&in_order).expect("two exports");
    assert_eq!(merge(&reversed), Some(merged.clone()), "whatever their order");
    merged
}

fn web(exported_at: &str) -> ExportedServiceSpec {
    spec("shop/web", exported_at)
}

const OLD: &str = "2026-11-01T00:00:00Z";
const NEW: &str = "2026-11-01T00:00:01Z";

#[test]
fn each_field_is_the_oldest_export_s_and_a_difference_has_its_reason() {
    let with = |change: fn(&mut ExportedServiceSpec)| {
        let mut spec = web(NEW);
        change(&mut spec);
        spec
    };
    for (new, reason, message) in [
        (with(|_| {}), "NoConflicts", ""),
        (
            with(|spec| spec.kind = ExportedType::Headless),
            "TypeConflict",
            "type: west (older) says ClusterSetIP, east Headless; west's holds",
        ),
        (
            with(|spec| spec.session_affinity = Some("ClientIP".into())),
            "SessionAffinityConflict",
            "sessionAffinity: west (older) says None, east ClientIP; west's holds",
        ),
        (
            with(|spec| spec.affinity_seconds = Some(60)),
            "SessionAffinityConfigConflict",
            "sessionAffinityConfig: west (older) says unset, east 60s; west's holds",
        ),
        (
            with(|spec| spec.internal_traffic_policy = Some("Local".into())),
            "InternalTrafficPolicyConflict",
            "internalTrafficPolicy: west (older) says Cluster, east Local; west's holds",
        ),
        (
            with(|spec| spec.traffic_distribution = Some("PreferClose".into())),
            "TrafficDistributionConflict",
            "trafficDistribution: west (older) says unset, east PreferClose; west's holds",
        ),
        (
            with(|spec| spec.ip_families = vec!["IPv6".into(), "IPv4".into()]),
            "IPFamilyConflict",
            "ipFamilies: west (older) says IPv4, east IPv4+IPv6; west's holds",
        ),
        (
            with(|spec| spec.ports[0].port = 8080),
            "PortConflict",
            "port http: west (older) says 80, east 8080; west's holds",
        ),
        (
            with(|spec| spec.ports[0].app_protocol = Some("h2c".into())),
            "PortConflict",
            "port http: west (older) says 80, east 80 h2c; west's holds",
        ),
        (
            with(|spec| {
                spec.kind = ExportedType::Headless;
                spec.ports.clear();
            }),
            "PortConflict,TypeConflict",
            "port http: only west has it; type: west (older) says ClusterSetIP, east Headless; west's \
             holds",
        ),
    ] {
        let merged = of(("west", web(OLD)), ("east", new));
        let Conflict { reason: found, message: said } = &merged.conflict;
        assert_eq!((found.as_str(), said.as_str()), (reason, message));
        let alone: Arc<str> = "west".into();
        let alone = merge(&[(&alone, &web(OLD))]).expect("one export");
        assert_eq!(merged.spec, alone.spec, "{reason}: the oldest holds");
    }
}

#[test]
fn of_one_second_the_first_id_holds_and_what_is_no_time_is_the_newest() {
    let headless = |at| ExportedServiceSpec { kind: ExportedType::Headless, ..web(at) };
    assert_eq!(of(("east", headless(OLD)), ("west", web(OLD))).spec.kind, ExportedType::Headless);
    assert_eq!(of(("west", headless(NEW)), ("east", web("now"))).spec.kind, ExportedType::Headless);
}

#[test]
fn ports_are_the_union_and_of_two_that_clash_the_older_holds() {
    let with = |at, ports: &[(&str, &str, u16)]| {
        let ports = ports.iter().map(|(name, protocol, number)| port(name, protocol, *number));
        ExportedServiceSpec { ports: ports.collect(), ..web(at) }
    };
    let old = with(OLD, &[("http", "TCP", 80), ("dns", "UDP", 53)]);
    let new = with(NEW, &[("web", "TCP", 80), ("dns", "UDP", 54), ("dns-tcp", "TCP", 53)]);
    let merged = of(("west", old.clone()), ("east", new.clone()));
    let names: Vec<_> =
        merged.spec.ports.iter().map(|port| (port.name.as_str(), port.port)).collect();
    assert_eq!(names, [("http", 80), ("dns", 53), ("dns-tcp", 53)]);
    let led = |names: &[(&str, &str)]| -> BTreeSet<(String, String)> {
        names.iter().map(|(name, protocol)| ((*name).into(), (*protocol).into())).collect()
    };
    assert_eq!(merged.ports_of(&old), led(&[("http", "TCP"), ("dns", "UDP")]));
    assert_eq!(merged.ports_of(&new), led(&[("dns-tcp", "TCP")]), "not the clashing ones");
}

#[test]
fn a_port_without_a_name_has_no_other_beside_it() {
    let with = |at, ports: Vec<ExportedPort>| ExportedServiceSpec { ports, ..web(at) };
    let (bare, named) = (vec![port("", "TCP", 80)], vec![port("http", "TCP", 81)]);
    for (old, new) in [(&bare, &named), (&named, &bare)] {
        let merged = of(("west", with(OLD, old.clone())), ("east", with(NEW, new.clone())));
        let names: Vec<_> = merged.spec.ports.iter().map(|port| &port.name).collect();
        assert_eq!(names, [&old[0].name], "a Service with both would be refused");
        assert_eq!(merged.conflict.reason, "PortConflict");
    }
}
