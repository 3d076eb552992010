//! Who belongs to which tier.

use super::*;
use crate::{
    by_name,
    service::{Policy, Protocol},
};

#[test]
fn a_backend_belongs_to_the_first_rule_it_fits_and_to_none_otherwise() {
    let service = with_rules(
        service(
            "s",
            &[("1", "n1 a eu -"), ("2", "n2 a eu -"), ("3", "n3 b eu -"), ("4", "- - us -")],
        ),
        vec![
            within("near", Place::Zone),
            within("node", Place::Node),
            within("region", Place::Region),
        ],
    );
    assert_eq!(placed(&service, &[]), ["0: 1 2", "2: 3"]);
}

#[test]
fn places_by_name_must_all_fit_and_without_a_cluster_a_backend_is_in_the_nodes_own() {
    let backends =
        [("1", "- a eu -"), ("2", "- a us west"), ("3", "- b eu home"), ("4", "- - - east")];
    let rules = |named: Members| vec![TierRule { name: "named".into(), members: named }];
    for (zones, regions, clusters, wanted) in [
        (&["a"][..], &[][..], &[][..], &["0: 1"][..]),
        (&["a"], &["eu"], &[], &["0: 1"]),
        (&[], &["eu", "us"], &[], &["0: 1 3"]),
        (&["a"], &[], &["west"], &["0: 2"]),
        (&["a"], &[], &["home", "west"], &["0: 1 2"]),
        (&[], &[], &["home"], &["0: 1 3"]),
        (&[], &[], &["west", "east"], &["0: 2 4"]),
        (&[], &[], &[], &["0: 1 3"]),
        (&["a"], &["eu"], &["west"], &[]),
        (&[], &[], &["*"], &["0: 2 4"]),
        (&[], &[], &["*", "home"], &["0: 1 2 3 4"]),
        (&["a"], &[], &["*"], &["0: 2"]),
        (&[], &["eu"], &["*"], &[]),
    ] {
        let named = Members::Named {
            zones: zones.iter().map(|name| Arc::from(*name)).collect(),
            regions: regions.iter().map(|name| Arc::from(*name)).collect(),
            clusters: clusters.iter().map(|name| Arc::from(*name)).collect(),
        };
        let service = with_rules(service("s", &backends), rules(named));
        assert_eq!(placed(&service, &[]), wanted, "{zones:?} {regions:?} {clusters:?}");
    }
}

#[test]
fn another_services_backends_are_taken_wherever_they_are_and_once() {
    let backup = service("backup", &[("2", "- - us west"), ("8", "- a eu -"), ("9", "n1 a eu -")]);
    let own = [("1", "n1 a eu -"), ("2", "n1 a eu -"), ("8", "- - us west")];
    let near = || within("near", Place::Node);
    let taken = || of("backup", "backup");
    let far = || within("far", Place::Remote);
    for (rules, wanted) in [
        (vec![near(), taken(), far()], ["0: 1 2", "1: 8 9", ""]),
        (vec![taken(), near(), far()], ["0: 2 8 9", "1: 1", ""]),
        (vec![near(), far(), taken()], ["0: 1 2", "1: 8", "2: 9"]),
    ] {
        let service = with_rules(service("s", &own), rules);
        let wanted: Vec<&str> = wanted.into_iter().filter(|tier| !tier.is_empty()).collect();
        assert_eq!(placed(&service, std::slice::from_ref(&backup)), wanted);
    }
}

#[test]
fn of_another_service_only_what_is_in_the_clusters_that_are_named() {
    let exported = service(
        "dr",
        &[("6", "- - - -"), ("7", "- - - home"), ("8", "- - - west"), ("9", "- - - east")],
    );
    for (clusters, wanted) in [
        (&["west"][..], "0: 8"),
        (&["west", "east"], "0: 8 9"),
        (&["*"], "0: 8 9"),
        (&["home"], "0: 6 7"),
        (&["south"], ""),
    ] {
        let members = Members::Exported {
            service: ServiceRef("dr".into()),
            clusters: clusters.iter().map(|name| Arc::from(*name)).collect(),
        };
        let rules = vec![TierRule { name: "dr".into(), members }, within("own", Place::Remote)];
        let service = with_rules(service("s", &[("1", "- - - west")]), rules);
        let wanted: Vec<&str> =
            [wanted, "1: 1"].into_iter().filter(|tier| !tier.is_empty()).collect();
        assert_eq!(placed(&service, std::slice::from_ref(&exported)), wanted, "{clusters:?}");
    }
}

#[test]
fn a_service_that_is_not_there_or_of_another_protocol_leaves_its_tier_empty() {
    let mut udp = service("udp", &[("9", "- - - -")]);
    udp.frontends[0].protocol = Protocol::Udp;
    udp.backends[0].backend.protocol = Protocol::Udp;
    let rules = vec![of("none", "none"), of("udp", "udp"), within("all", Place::Remote)];
    let service = with_rules(service("s", &[("1", "- - - -")]), rules);
    assert_eq!(placed(&service, &[udp]), ["2: 1"]);
}

#[test]
fn circles_end_with_what_the_services_list_themselves() {
    let one = with_rules(service("a", &[("1", "- - - -")]), vec![of("b", "b"), of("self", "a")]);
    let other = with_rules(service("b", &[("2", "- - - -")]), vec![of("a", "a"), of("self", "b")]);
    assert_eq!(placed(&one, std::slice::from_ref(&other)), ["0: 2", "1: 1"]);
    assert_eq!(placed(&other, &[one]), ["0: 1", "1: 2"]);
}

#[test]
fn two_tiers_of_one_service_are_the_first_one() {
    let other = service("b", &[("2", "- - - -")]);
    let one = with_rules(service("a", &[]), vec![of("first", "b"), of("again", "b")]);
    assert_eq!(placed(&one, &[other]), ["0: 2"]);
}

/// `number: backends`, seen from a node n1 in zone a of region eu, cluster home.
fn placed(service: &Service, others: &[Service]) -> Vec<String> {
    let services = others.iter().map(|other| (other.name.clone(), other.clone())).collect();
    let node = locality("n1 a eu home");
    let placed = members(service, &node, &services, |_| true);
    placed
        .chunk_by(|(one, _), (other, _)| one == other)
        .map(|tier| {
            let last = |backend: &Backend| backend.backend.address.to_string().split_off(7);
            let names: Vec<String> = tier.iter().map(|(_, backend)| last(backend)).collect();
            format!("{}: {}", tier[0].0, names.join(" "))
        })
        .collect()
}

fn within(name: &str, place: Place) -> TierRule {
    TierRule { name: name.into(), members: Members::Within(place) }
}

fn of(name: &str, service: &str) -> TierRule {
    TierRule { name: name.into(), members: Members::Service(ServiceRef(service.into())) }
}

fn with_rules(service: Service, tiers: Vec<TierRule>) -> Service {
    Service { policy: Policy { tiers, ..service.policy }, ..service }
}

fn service(name: &str, backends: &[(&str, &str)]) -> Service {
    let address = |(last, _): &(&str, &str)| format!("10.1.0.{last}");
    let addresses: Vec<String> = backends.iter().map(address).collect();
    let mut service = by_name::service(name, &["10.96.0.1"], &addresses);
    for (listed, (_, place)) in service.backends.iter_mut().zip(backends) {
        listed.locality = locality(place);
    }
    service
}

/// Node, zone, region, cluster; `-` is unknown.
fn locality(place: &str) -> Locality {
    let mut names = place.split(' ').map(|name| (name != "-").then(|| Arc::from(name)));
    let mut next = || names.next().flatten();
    Locality { node: next(), zone: next(), region: next(), cluster: next() }
}
