//! Never empty, never partial (MULTICLUSTER 4.5): bad outboxes, one test each.

use std::{collections::BTreeSet, time::Duration};

use redirector_kube::api::{Batch, Phase};

use super::{
    super::OutboxNews,
    exporter::{Exporter, spec},
    here::Here,
    phases::{SECOND, beats, live},
};

/// East, and west with five Services of six endpoints each, live and written.
fn larger() -> (Here, Exporter) {
    let mut here = Here::new(false);
    here.join("west", |_| {});
    let mut west = Exporter::new("west");
    for service in 0..5 {
        let addresses: Vec<String> = (1..7).map(|last| format!("10.2.{service}.{last}")).collect();
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        west.export(spec(&format!("shop/web-{service}"), "2026-11-01T00:00:00Z"), &addresses);
    }
    let news = west.list(&[].into());
    here.take_all(news);
    beats(&mut here, &mut west, 5);
    here.settle();
    assert_eq!((here.phase("west"), here.backends().len()), (Some(Phase::Live), 30));
    (here, west)
}

#[test]
fn an_empty_answer_removes_nothing_and_is_asked_for_again() {
    let (mut here, mut west) = live();
    let before = here.backends();
    let all: BTreeSet<String> = west.outbox.services.keys().cloned().collect();
    let slices = west.outbox.slices.keys().map(ToString::to_string);
    let news = west.list(&all.into_iter().chain(slices).collect());
    here.take_all(news);
    beats(&mut here, &mut west, 9);
    assert_eq!((here.phase("west"), here.importer.take_relists().len()), (Some(Phase::Live), 0));
    beats(&mut here, &mut west, 2);
    here.settle();
    assert_eq!((here.backends(), here.removals), (before.clone(), 0));
    assert_eq!(here.phase("west"), Some(Phase::Silent), "not what the manifest says for 10 s");
    assert_eq!(here.condition("west", "Synced").1, "Incomplete");
    assert_eq!(here.importer.take_relists(), ["west".into()].into(), "it is asked for again");
    let news = west.list(&[].into());
    here.take_all(news);
    beats(&mut here, &mut west, 5);
    here.settle();
    assert_eq!((here.phase("west"), here.backends()), (Some(Phase::Live), before));
    assert_eq!(here.removals, 0);
}

#[test]
fn an_outbox_that_is_cut_anywhere_removes_nothing() {
    let (_, west) = larger();
    let names: Vec<String> = west
        .outbox
        .services
        .keys()
        .cloned()
        .chain(west.outbox.slices.keys().map(ToString::to_string))
        .collect();
    for page in 0..names.len() {
        let (mut here, mut west) = larger();
        let before = here.backends();
        // What comes after the page is missing, as if the answer had ended there.
        let news = west.list(&names[page..].iter().cloned().collect());
        here.take_all(news);
        beats(&mut here, &mut west, 15);
        here.settle();
        assert_eq!(here.backends(), before, "cut at {page}");
        assert_eq!(here.removals, 0, "cut at {page}");
        assert_eq!(here.phase("west"), Some(Phase::Silent), "cut at {page}");
    }
}

#[test]
fn a_wrong_digest_holds_removals_back_until_it_is_right() {
    let (mut here, mut west) = larger();
    west.wrong_digest = Some("00".repeat(32));
    west.unexport("shop/web-0");
    let news = west.deliver();
    here.take_all(news);
    beats(&mut here, &mut west, 12);
    here.settle();
    assert_eq!((here.backends().len(), here.removals), (30, 0));
    assert_eq!(here.phase("west"), Some(Phase::Silent));
    west.wrong_digest = None;
    beats(&mut here, &mut west, 1);
    here.settle();
    assert_eq!(here.backends().len(), 24, "the digest agrees");
    beats(&mut here, &mut west, 4);
    assert_eq!(here.phase("west"), Some(Phase::Live));
}

#[test]
fn what_is_new_or_unready_counts_at_once_whatever_the_digest_says() {
    let (mut here, mut west) = larger();
    west.wrong_digest = Some("00".repeat(32));
    let of = |export: &mut super::exporter::Export| {
        for endpoint in export.endpoints.values_mut().take(2) {
            endpoint.is_ready = false;
        }
        let address = "10.2.0.99".parse().expect("an address");
        export.endpoints.insert(address, super::exporter::endpoint(address));
    };
    of(west.exports.get_mut("shop/web-0").expect("it is exported"));
    west.write_all();
    let news = west.deliver();
    here.take_all(news);
    here.settle();
    assert_eq!(here.backends().len(), 29, "two are not ready, one is new");
}

#[test]
fn an_older_backup_of_the_other_side_removes_nothing_before_its_exporter_agrees() {
    let (mut here, mut west) = larger();
    let (backup, version) = (west.outbox.clone(), west.version);
    // Three more Services, live everywhere.
    for service in 5..8 {
        west.export(
            spec(&format!("shop/web-{service}"), "2026-11-01T00:00:00Z"),
            &[&format!("10.2.{service}.1")],
        );
    }
    let news = west.deliver();
    here.take_all(news);
    beats(&mut here, &mut west, 3);
    here.settle();
    let before = here.backends();
    assert_eq!(before.len(), 33);
    // The restored etcd: an older outbox, with the versions of then.
    west.outbox = backup;
    west.version = version;
    let beat = west.beat();
    here.take(beat);
    assert_eq!(here.importer.take_relists(), ["west".into()].into(), "the version fell");
    let news = west.deliver();
    here.take_all(news);
    let news = west.list(&[].into());
    here.take_all(news);
    beats(&mut here, &mut west, 4);
    here.settle();
    assert_eq!(
        (here.backends(), here.removals),
        (before.clone(), 0),
        "the exporter says otherwise"
    );
    // Its exporter puts back what there is, but for one that is exported no more.
    west.unexport("shop/web-7");
    let news = west.deliver();
    here.take_all(news);
    beats(&mut here, &mut west, 1);
    here.settle();
    assert_eq!(here.backends().len(), 32);
}

#[test]
fn who_was_unready_in_a_backup_stays_ready_until_its_exporter_agrees() {
    let (mut here, mut west) = larger();
    let set_ready = |west: &mut Exporter, is_ready| {
        let export = west.exports.get_mut("shop/web-0").expect("it is exported");
        export.endpoints.values_mut().for_each(|endpoint| endpoint.is_ready = is_ready);
    };
    set_ready(&mut west, false);
    west.write_all();
    let (backup, version) = (west.outbox.clone(), west.version);
    set_ready(&mut west, true);
    west.write_all();
    let news = west.deliver();
    here.take_all(news);
    beats(&mut here, &mut west, 2);
    (west.outbox, west.version) = (backup, version);
    beats(&mut here, &mut west, 1);
    let news = west.list(&[].into());
    here.take_all(news);
    for _ in 0..5 {
        beats(&mut here, &mut west, 1);
        here.settle();
        assert_eq!(here.backends().len(), 30, "the exporter says that all are ready");
    }
    set_ready(&mut west, false);
    west.write_all();
    let news = west.deliver();
    here.take_all(news);
    beats(&mut here, &mut west, 1);
    here.settle();
    assert_eq!(here.backends().len(), 24, "now it says so itself");
}

#[test]
fn another_epoch_is_listed_anew_and_removes_nothing_before_it_agrees() {
    let (mut here, mut west) = larger();
    let before = here.backends();
    west.epoch += 1;
    west.unexport("shop/web-1");
    let news = west.deliver();
    here.take_all(news);
    beats(&mut here, &mut west, 3);
    here.settle();
    assert_eq!(here.importer.take_relists(), ["west".into()].into());
    assert_eq!((here.backends(), here.removals), (before, 0), "not listed yet");
    let news = west.list(&[].into());
    here.take_all(news);
    here.settle();
    assert_eq!(here.backends().len(), 30, "no heartbeat since the list");
    beats(&mut here, &mut west, 1);
    here.settle();
    assert_eq!(here.backends().len(), 24);
    assert_eq!(here.phase("west"), Some(Phase::Live), "no silence by it");
}

#[test]
fn an_outbox_of_which_one_kind_is_never_listed_again_is_silent_and_not_live_for_ever() {
    let (mut here, mut west) = larger();
    let before = here.backends();
    west.epoch += 1;
    beats(&mut here, &mut west, 1);
    let [restarted, services, _slices] = west.list(&[].into()).try_into().expect("three");
    here.take_all([restarted, services]);
    beats(&mut here, &mut west, 8);
    assert_eq!(here.phase("west"), Some(Phase::Live));
    beats(&mut here, &mut west, 4);
    here.settle();
    assert_eq!((here.phase("west"), here.backends()), (Some(Phase::Silent), before));
    assert_eq!(here.condition("west", "Synced").1, "Incomplete");
}

#[test]
fn a_manifest_that_removes_more_than_half_is_believed_the_second_time_two_seconds_later() {
    let (mut here, mut west) = larger();
    for service in 0..3 {
        west.unexport(&format!("shop/web-{service}"));
    }
    let news = west.deliver();
    here.take_all(news);
    let step = |here: &mut Here, west: &mut Exporter| {
        let beat = west.beat();
        here.take(beat);
        here.settle();
        here.pass(SECOND);
        here.settle();
        here.backends().len()
    };
    assert_eq!(step(&mut here, &mut west), 30, "seen once");
    assert_eq!(step(&mut here, &mut west), 30, "1 s later");
    assert_eq!(step(&mut here, &mut west), 12, "2 s later");
}

#[test]
fn a_mistake_that_is_taken_back_within_two_seconds_removes_nothing() {
    let (mut here, mut west) = larger();
    let exports = std::mem::take(&mut west.exports);
    west.write_all();
    let news = west.deliver();
    here.take_all(news);
    beats(&mut here, &mut west, 1);
    here.settle();
    assert_eq!(here.backends().len(), 30);
    west.exports = exports;
    west.write_all();
    let news = west.deliver();
    here.take_all(news);
    beats(&mut here, &mut west, 5);
    here.settle();
    assert_eq!((here.backends().len(), here.removals), (30, 0));
}

#[test]
fn what_a_manifest_states_to_be_unexported_goes_at_once_and_takes_nothing_else_along() {
    let (mut here, mut west) = larger();
    let exported_at = west.exports["shop/web-0"].spec.exported_at.clone();
    for service in 0..4 {
        west.unexport(&format!("shop/web-{service}"));
    }
    // One is stated; of one another export is stated, which was made before.
    west.state_unexport("shop/web-0", &exported_at);
    west.state_unexport("shop/web-1", "2020-01-01T00:00:00Z");
    let news = west.deliver();
    here.take_all(news);
    let beat = west.beat();
    here.take(beat);
    here.settle();
    assert_eq!(here.backends().len(), 24, "more than half of the rest is not believed yet");
    beats(&mut here, &mut west, 3);
    here.settle();
    assert_eq!(here.backends().len(), 6);
}

#[test]
fn what_is_stated_and_is_still_there_stays() {
    let (mut here, mut west) = larger();
    let exported_at = west.exports["shop/web-0"].spec.exported_at.clone();
    west.state_unexport("shop/web-0", &exported_at);
    beats(&mut here, &mut west, 5);
    here.settle();
    assert_eq!((here.backends().len(), here.removals), (30, 0));
    // A backup is restored: nothing that was stated before counts.
    west.exports.clear();
    west.write_all();
    west.epoch += 1;
    let beat = west.beat();
    here.take(beat);
    here.settle();
    let news = west.list(&[].into());
    here.take_all(news);
    west.unexported.clear();
    let beat = west.beat();
    here.take(beat);
    here.settle();
    assert_eq!(here.backends().len(), 30);
}

#[test]
fn half_or_less_goes_with_the_first_manifest_that_agrees() {
    let (mut here, mut west) = larger();
    west.unexport("shop/web-0");
    // The manifest first, as another watch may bring it.
    let beat = west.beat();
    here.take(beat);
    here.settle();
    assert_eq!(here.backends().len(), 30, "the slices are there still");
    let news = west.deliver();
    here.take_all(news);
    here.settle();
    assert_eq!((here.backends().len(), here.removals), (24, 2), "its slice and its import");
}

#[test]
fn under_steady_change_what_is_gone_goes_though_the_watches_are_never_at_one_point() {
    let (mut here, mut west) = larger();
    // Every 100 ms an endpoint comes; the manifest is always one change behind what is told.
    let mut late = west.beat();
    west.unexport("shop/web-0");
    for step in 0..200u16 {
        let address =
            std::net::IpAddr::from([10, 2, 100, u8::try_from(step % 200).expect("small")]);
        let export = west.exports.get_mut("shop/web-1").expect("it is exported");
        export.endpoints.insert(address, super::exporter::endpoint(address));
        west.write_all();
        let news = west.deliver();
        here.take_all(news);
        let beat = west.beat();
        here.take(std::mem::replace(&mut late, beat));
        here.pass(Duration::from_millis(100));
        assert_eq!(here.phase("west"), Some(Phase::Live), "step {step}");
    }
    here.settle();
    assert!(here.backends().iter().all(|(_, service, _, _)| service != "shop/web-0"));
}

#[test]
fn a_vanished_lease_is_silence_and_not_the_end() {
    let (mut here, west) = live();
    let before = here.backends();
    here.take(west.news(OutboxNews::Heartbeat(None)));
    here.pass(SECOND * 4);
    here.settle();
    assert_eq!((here.phase("west"), here.backends()), (Some(Phase::Silent), before));
    assert_eq!(here.condition("west", "Connected").1, "ExporterSilent");
}

#[test]
fn an_export_that_cannot_be_used_is_said_and_harms_no_other() {
    let (mut here, mut west) = live();
    west.export(spec("shop/api", "2026-11-02T00:00:00Z"), &["10.2.0.9"]);
    let mut forged = spec("kube-system/dns", "2026-11-02T00:00:00Z");
    forged.ports[0].protocol = "ICMP".into();
    west.export(forged, &["10.2.0.10"]);
    let news = west.deliver();
    here.take_all(news);
    beats(&mut here, &mut west, 12);
    here.settle();
    assert_eq!(here.backends().len(), 3, "shop/api counts, kube-system/dns does not");
    assert_eq!(here.phase("west"), Some(Phase::Live));
    let (status, reason, message) = here.condition("west", "Synced");
    assert_eq!((status, reason), (Some(false), "InvalidExport"));
    assert!(message.contains("kube-system.dns") && message.contains("ICMP"), "{message}");
}

#[test]
fn what_a_batch_rejects_keeps_its_last_version() {
    let (mut here, mut west) = live();
    let object = redirector_kube::api::ObjectRef { namespace: "".into(), name: "shop.web".into() };
    let why = "spec: unknown variant `Odd`".to_owned();
    let changes = vec![redirector_kube::api::Change::Rejected { object, why }];
    here.take(west.news(OutboxNews::Services(Batch { changes, is_synced: true })));
    beats(&mut here, &mut west, 11);
    here.settle();
    assert_eq!((here.backends().len(), here.removals), (2, 0));
    assert!(here.condition("west", "Synced").2.contains("shop.web"));
}
