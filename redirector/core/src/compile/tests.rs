//! Tiers, loads and families of compiled services.

use redirector_common::MAX_TIERS;

use super::*;
use crate::by_name::{self, backend, frontend};

const NOBODY: BTreeMap<BackendRef, HealthWord> = BTreeMap::new();

#[test]
fn tiers_are_by_place_and_only_those_with_backends() {
    let service = service(&[("10.1.0.3", "b"), ("10.1.0.1", ""), ("10.1.0.2", "b")]);
    let tables = compiled(&service, &NOBODY);
    assert_eq!(listed(&tables.v4), ["zone 10.1.0.2 10.1.0.3", "cluster 10.1.0.1"]);
    assert_eq!(tables.v4.loads, [100; MAX_TIERS]);
    assert_eq!(tables.v4.carrying(), Some((0, "zone")));
    assert_eq!(tables.v6, Table::default(), "no frontend, no table");
}

#[test]
fn the_first_tier_with_a_healthy_backend_carries_everything() {
    let service = service(&[("10.1.0.1", "b"), ("10.1.0.2", ""), ("10.1.0.3", "b")]);
    let table = |ejected: &[&str]| compiled(&service, &objections(ejected)).v4;
    assert_eq!(table(&["10.1.0.1"]).carrying(), Some((0, "zone")));
    let over = table(&["10.1.0.1", "10.1.0.3"]);
    assert_eq!(
        (over.carrying(), over.loads),
        (Some((1, "cluster")), [0, 100, 100, 100, 100, 100, 100, 100])
    );
    let down = table(&["10.1.0.1", "10.1.0.2", "10.1.0.3"]);
    assert_eq!((down.carrying(), down.loads), (None, [100; MAX_TIERS]));
}

#[test]
fn each_family_has_its_own_backends() {
    let mut service = service(&[("10.1.0.1", ""), ("fd00::1", "b")]);
    service.frontends.push(frontend("fd00:96::1"));
    let tables = compiled(&service, &NOBODY);
    assert_eq!(listed(&tables.v4), ["cluster 10.1.0.1"]);
    assert_eq!(listed(&tables.v6), ["zone fd00::1"]);
}

#[test]
fn a_service_without_backends_has_no_tiers() {
    let tables = compiled(&service(&[]), &NOBODY);
    assert_eq!((tables.v4.tiers.len(), tables.v4.loads), (0, [0; MAX_TIERS]));
    assert_eq!(tables.frontends, [frontend("10.96.0.1")]);
}

#[test]
fn nodes_of_one_name_have_a_word_for_each_cluster() {
    let place = |cluster: Option<&str>| Locality {
        node: Some("n9".into()),
        cluster: cluster.map(Into::into),
        ..Locality::default()
    };
    let home = Locality { cluster: Some("home".into()), ..Locality::default() };
    let mut listed = service(&[("10.1.0.1", ""); 1]).backends.remove(0);
    let mut word = |own: &Locality, place: Locality| {
        listed.locality = place;
        entry(own, &listed).node
    };
    let own = word(&Locality::default(), place(None));
    assert_eq!(own, NodeWord::named("n9"));
    assert_eq!(own.0, 0xb383_07b5_58e2_5900, "as every agent before has written it");
    assert_eq!(word(&home, place(None)), own);
    assert_eq!(word(&home, place(Some("home"))), own);
    let west = word(&home, place(Some("west")));
    assert_eq!(west, NodeWord::in_cluster("west", "n9"));
    assert_eq!(west, word(&Locality::default(), place(Some("west"))));
    assert_ne!(west, own);
    assert_ne!(west, word(&home, place(Some("east"))));
}

/// The tables of a service, seen from a node in zone b.
fn compiled(service: &Service, objections: &BTreeMap<BackendRef, HealthWord>) -> ServiceTables {
    let services = BTreeMap::new();
    let view = View { node: &zone("b"), services: &services, objections };
    let tiers = tiers(service, &view);
    let objected = objected(&tiers, objections);
    compile_service(service, tiers, Overrides::default(), &objected)
}

fn service(backends: &[(&str, &str)]) -> Service {
    let addresses: Vec<&str> = backends.iter().map(|(address, _)| *address).collect();
    let mut service = by_name::service("shop/cart", &["10.96.0.1"], &addresses);
    for (listed, (_, in_zone)) in service.backends.iter_mut().zip(backends) {
        listed.locality = zone(in_zone);
    }
    service
}

fn zone(name: &str) -> Locality {
    Locality { zone: (!name.is_empty()).then(|| name.into()), ..Locality::default() }
}

fn objections(ejected: &[&str]) -> BTreeMap<BackendRef, HealthWord> {
    ejected.iter().map(|address| (backend(address), HealthWord(1 << 8))).collect()
}

fn listed(table: &Table) -> Vec<String> {
    let listed = table.tiers.iter().map(|tier| {
        let addresses = tier.entries.iter().map(|entry| entry.backend.address.to_string());
        [tier.name.to_string()].into_iter().chain(addresses).collect::<Vec<_>>().join(" ")
    });
    listed.collect()
}
