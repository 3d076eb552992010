//! An importer that dies and begins anew: what it finds counts (MULTICLUSTER 4.4, 4.5).

use std::time::Duration;

use redirector_kube::api::Phase;
use serde_json::json;

use super::{
    super::Failure,
    exporter::{Exporter, spec},
    here::Here,
    phases::{SECOND, beats, live},
};

/// East and west with Services of several slices and ports, live and written.
fn rich(cluster_set_ips: bool) -> (Here, Exporter) {
    let mut here = Here::new(cluster_set_ips);
    here.join("west", |_| {});
    let mut west = Exporter::new("west");
    for service in 0..3u8 {
        let addresses: Vec<String> =
            (1..120).map(|last| format!("10.2.{service}.{last}")).collect();
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        let mut spec = spec(&format!("shop/web-{service}"), "2026-11-01T00:00:00Z");
        spec.weight = 30;
        spec.labels.insert("team".into(), "a".into());
        west.export(spec, &addresses);
    }
    let news = west.list(&[].into());
    here.take_all(news);
    beats(&mut here, &mut west, 5);
    here.settle();
    (here, west)
}

#[test]
fn restarting_in_an_unchanged_cluster_writes_nothing() {
    for cluster_set_ips in [false, true] {
        let (mut here, mut west) = rich(cluster_set_ips);
        let before = here.store.clone();
        here.begin();
        assert_eq!(here.due(), [], "nothing has been heard of west yet");
        assert_eq!(here.phase("west"), Some(Phase::Live), "the phase is as it was");
        let news = west.list(&[].into());
        here.take_all(news);
        assert_eq!(here.due(), []);
        beats(&mut here, &mut west, 6);
        assert_eq!(here.due(), []);
        assert_eq!((here.phase("west"), &here.store), (Some(Phase::Live), &before));
    }
}

#[test]
fn own_exports_and_gateways_are_found_as_they_were_too() {
    let (mut here, mut west) = rich(true);
    let mut own = Exporter::new("east");
    own.export(spec("shop/web-0", "2026-10-01T00:00:00Z"), &["10.1.0.1", "10.1.0.2"]);
    own.export(spec("shop/own", "2026-10-01T00:00:00Z"), &["10.1.0.3"]);
    let news = own.list(&[].into());
    here.take_all(news);
    for export in west.exports.values_mut() {
        export.spec.gateways = vec![crate::api::Gateway {
            kind: crate::api::GatewayKind::NodePort,
            address: Some("10.2.255.1".parse().expect("an address")),
            hostname: None,
            zone: Some("a".into()),
            ports: vec![crate::api::GatewayPort { name: "http".into(), port: 30_080 }],
        }];
    }
    west.write_all();
    let news = west.deliver();
    here.take_all(news);
    here.join("west", |object| object["spec"]["reach"] = json!("NodePort"));
    beats(&mut here, &mut west, 2);
    here.settle();
    let (before, backends) = (here.store.clone(), here.backends());
    assert_eq!(backends.len(), 3 + 3, "own ones, and a gateway of each Service");
    here.begin();
    assert_eq!(here.due(), []);
    for exporter in [&mut own, &mut west] {
        let news = exporter.list(&[].into());
        here.take_all(news);
        assert_eq!(here.due(), []);
    }
    beats(&mut here, &mut west, 6);
    assert_eq!(here.due(), []);
    assert_eq!((here.store, here.importer.desired().conflicts.len()), (before, 2));
}

#[test]
fn an_importer_that_is_killed_at_every_write_ends_where_one_that_lives_does() {
    let (whole, _) = rich(true);
    let written = |here: &Here| -> Vec<_> {
        let names = here.store.keys().cloned();
        names.zip(here.backends().into_iter().map(|(_, _, address, _)| address)).collect()
    };
    for kill_at in 0..whole.writes {
        let mut here = Here::new(true);
        here.join("west", |_| {});
        let (_, mut west) = rich(true);
        let news = west.list(&[].into());
        here.take_all(news);
        beats(&mut here, &mut west, 5);
        for _ in 0..kill_at {
            let Some((of, body)) = here.due().into_iter().next() else { break };
            here.write(&of, body);
        }
        let before = here.backends();
        here.begin();
        for (of, body) in here.due() {
            here.write(&of, body);
            assert!(here.backends().is_superset(&before), "killed at {kill_at}");
        }
        let news = west.list(&[].into());
        here.take_all(news);
        beats(&mut here, &mut west, 5);
        here.settle();
        assert_eq!(here.backends(), whole.backends(), "killed at {kill_at}");
        assert_eq!(written(&here), written(&whole), "killed at {kill_at}");
    }
}

#[test]
fn slices_whose_import_went_while_no_importer_lived_stay_and_get_another_owner() {
    for cluster_set_ips in [false, true] {
        let (mut here, _west) = rich(cluster_set_ips);
        let before = here.backends();
        let imports: Vec<_> =
            here.store.keys().filter(|of| of.kind.name() == "ServiceImport").cloned().collect();
        for import in &imports {
            here.write(import, None);
        }
        here.begin();
        for (of, body) in here.due() {
            here.write(&of, body);
            assert!(here.backends().is_superset(&before), "{of}");
        }
        here.settle();
        assert_eq!(here.backends(), before);
        for slice in here.slices().into_values() {
            let owner = &slice["metadata"]["ownerReferences"][0]["uid"];
            assert!(imports.iter().any(|of| here.store[of]["given"]["uid"] == *owner));
        }
    }
}

#[test]
fn what_was_unexported_while_no_importer_lived_goes_with_the_first_proof() {
    let (mut here, mut west) = rich(false);
    west.unexport("shop/web-1");
    west.write_all();
    here.begin();
    let news = west.list(&[].into());
    here.take_all(news);
    here.settle();
    assert_eq!(here.backends().len(), 3 * 119, "no manifest since the list");
    beats(&mut here, &mut west, 1);
    here.settle();
    assert_eq!(here.backends().len(), 2 * 119);
}

#[test]
fn a_cluster_that_left_while_no_importer_lived_is_removed_at_once() {
    let (mut here, _west) = rich(true);
    here.clusters.remove("west");
    here.begin();
    here.settle();
    assert!(here.store.is_empty(), "{:?}", here.store.keys());
}

/// Statement 9: the control plane alone is cut, and the importer restarts in between.
#[test]
fn only_the_control_plane_is_cut_and_nothing_moves_until_keep_for_is_over() {
    let (mut here, west) = live();
    let before = here.backends();
    let failure = || Some(Failure::Unreachable("no route to host".into()));
    here.take(west.fails(failure()));
    for second in 1..=903 {
        here.pass(SECOND);
        here.settle();
        if second % 200 == 0 {
            here.begin();
            here.take(west.fails(failure()));
        }
        let phase = if second < 2 { Phase::Live } else { Phase::Silent };
        let phase = if second < 902 { phase } else { Phase::Lost };
        assert_eq!(here.phase("west"), Some(phase), "after {second} s");
        if phase != Phase::Lost {
            assert_eq!((&here.backends(), here.removals), (&before, 0), "after {second} s");
        }
    }
    assert_eq!(here.backends().len(), 0, "keepFor and 1 s after the silence began");
}

#[test]
fn a_lost_cluster_stays_lost_and_what_is_left_of_it_goes() {
    let (mut here, _west) = live();
    here.join("west", |object| object["spec"]["keepFor"] = json!("0s"));
    here.pass(SECOND * 3);
    here.pass(Duration::from_millis(1));
    assert_eq!(here.phase("west"), Some(Phase::Lost));
    here.begin();
    assert_eq!(here.phase("west"), Some(Phase::Lost));
    here.pass(SECOND);
    here.settle();
    assert_eq!(here.backends().len(), 0);
}
