//! Phases of a cluster, from joining to lost and back (MULTICLUSTER 4.1).

use std::time::Duration;

use redirector_kube::api::Phase;

use super::{
    super::Failure,
    exporter::{Exporter, spec},
    here::Here,
};

pub const SECOND: Duration = Duration::from_secs(1);

/// East, and west with one Service of two endpoints, live and written.
pub fn live() -> (Here, Exporter) {
    let mut here = Here::new(false);
    here.join("west", |_| {});
    let mut west = Exporter::new("west");
    west.export(spec("shop/web", "2026-11-01T00:00:00Z"), &["10.2.0.1", "10.2.0.2"]);
    let news = west.list(&[].into());
    here.take_all(news);
    beats(&mut here, &mut west, 5);
    assert_eq!(here.phase("west"), Some(Phase::Live));
    here.settle();
    (here, west)
}

/// So many heartbeats, one a second.
pub fn beats(here: &mut Here, west: &mut Exporter, count: usize) {
    for _ in 0..count {
        let beat = west.beat();
        here.take(beat);
        here.pass(SECOND);
    }
}

#[test]
fn nothing_is_imported_before_a_cluster_is_live() {
    let mut here = Here::new(false);
    here.join("west", |_| {});
    assert_eq!(here.phase("west"), Some(Phase::Joining));
    assert_eq!(here.condition("west", "Connected").1, "Pending");
    let mut west = Exporter::new("west");
    west.export(spec("shop/web", "2026-11-01T00:00:00Z"), &["10.2.0.1"]);
    let news = west.list(&[].into());
    here.take_all(news);
    beats(&mut here, &mut west, 3);
    assert_eq!((here.phase("west"), here.due()), (Some(Phase::Joining), Vec::new()));
    beats(&mut here, &mut west, 1);
    assert_eq!(here.phase("west"), Some(Phase::Live));
    here.settle();
    assert_eq!(here.backends().len(), 1);
    assert_eq!(here.condition("west", "Accepted"), (Some(true), "Accepted", ""));
    assert_eq!(here.condition("west", "Connected"), (Some(true), "Connected", ""));
    assert_eq!(here.condition("west", "Synced"), (Some(true), "Synced", ""));
    assert_eq!(here.condition("west", "Secure").1, "Off");
}

#[test]
fn a_silent_cluster_keeps_its_endpoints_and_says_why_it_is_silent() {
    for (failure, reason) in [
        (None, "ExporterSilent"),
        (
            Some(Failure::Unreachable("connect to west.example:6443: timed out".into())),
            "Unreachable",
        ),
        (Some(Failure::Unauthorized("Lease: 403 Forbidden".into())), "Unauthorized"),
    ] {
        let (mut here, west) = live();
        let before = here.backends();
        here.take(west.fails(failure));
        here.pass(Duration::from_millis(1_900));
        assert_eq!(here.phase("west"), Some(Phase::Live), "2.9 s");
        here.pass(Duration::from_millis(200));
        assert_eq!(here.phase("west"), Some(Phase::Silent), "3.1 s");
        let (status, why, message) = here.condition("west", "Connected");
        assert_eq!((status, why), (Some(false), reason));
        assert!(message.len() > 20, "{message}");
        here.settle();
        assert_eq!((here.backends(), here.removals), (before, 0), "nothing is deleted");
    }
}

#[test]
fn a_lost_cluster_goes_at_a_hundred_slices_a_second_and_comes_back_whole() {
    let mut here = Here::new(false);
    here.join("west", |object| object["spec"]["keepFor"] = "1m".into());
    let mut west = Exporter::new("west");
    for number in 0..250 {
        let name = format!("shop/web-{number}");
        west.export(spec(&name, "2026-11-01T00:00:00Z"), &[&format!("10.2.1.{}", number + 1)]);
    }
    let news = west.list(&[].into());
    here.take_all(news);
    beats(&mut here, &mut west, 5);
    here.settle();
    assert_eq!(here.backends().len(), 250);
    here.pass(SECOND * 3);
    assert_eq!(here.phase("west"), Some(Phase::Silent));
    here.pass(SECOND * 59);
    here.settle();
    assert_eq!(here.backends().len(), 250);
    here.pass(SECOND);
    assert_eq!(here.phase("west"), Some(Phase::Lost));
    for (millis, left) in [(0, 249), (500, 199), (500, 149), (1_000, 49), (500, 0)] {
        here.pass(Duration::from_millis(millis));
        here.settle();
        assert_eq!(here.backends().len(), left, "{millis} ms later");
    }
    beats(&mut here, &mut west, 5);
    assert_eq!(here.phase("west"), Some(Phase::Live));
    here.settle();
    assert_eq!(here.backends().len(), 250);
    assert_eq!(here.importer.desired().statuses["west"].endpoints, Some(250));
}

#[test]
#[expect(clippy::print_stdout, reason = "how often what changed")]
fn a_link_toggled_every_two_seconds_for_five_minutes_is_four_changes_of_phase_and_few_writes() {
    let (mut here, mut west) = live();
    let (writes, removals) = (here.writes, here.removals);
    let (mut changes, mut phase, mut statuses) = (0, here.phase("west"), 0);
    here.importer.take_changes();
    for step in 0..3_000u32 {
        let is_up = step / 20 % 2 == 0;
        if step % 10 == 0 && is_up {
            let beat = west.beat();
            here.take(beat);
        }
        if step % 20 == 0 {
            let failure = (!is_up).then(|| Failure::Unreachable("no route to host".into()));
            here.take(west.fails(failure));
        }
        here.pass(Duration::from_millis(100));
        here.settle();
        changes += usize::from(here.phase("west") != phase);
        phase = here.phase("west");
        statuses += here.importer.take_changes().statuses.len();
    }
    println!(
        "{changes} changes of phase, {} writes of objects, {} removals, {statuses} of statuses",
        here.writes - writes,
        here.removals - removals
    );
    assert!(changes <= 4, "{changes} changes of phase");
    assert!(here.writes - writes + here.removals - removals + statuses <= 150);
}

#[test]
fn a_manifest_that_cannot_be_read_is_said_and_removes_nothing() {
    let (mut here, mut west) = live();
    let before = here.backends();
    for _ in 0..12 {
        let super::super::News::Outbox { cluster, news } = west.beat() else { unreachable!() };
        let super::super::OutboxNews::Heartbeat(Some(mut beat)) = news else { unreachable!() };
        beat.manifest = Err("annotation clusters.redirector.dev/digest is missing".into());
        let news = super::super::OutboxNews::Heartbeat(Some(beat));
        here.take(super::super::News::Outbox { cluster, news });
        here.pass(SECOND);
    }
    west.unexport("shop/web");
    let news = west.deliver();
    here.take_all(news);
    here.settle();
    assert_eq!(here.backends(), before);
    assert_eq!(here.phase("west"), Some(Phase::Silent));
    let (status, reason, message) = here.condition("west", "Synced");
    assert_eq!((status, reason), (Some(false), "InvalidManifest"));
    assert!(message.contains("redirector-heartbeat") && message.contains("digest"), "{message}");
}

#[test]
fn a_kind_that_is_refused_is_a_silence_while_the_heartbeat_is_heard_and_ends_with_the_refusal() {
    let (mut here, mut west) = live();
    let before = here.backends();
    let refused = Failure::Unauthorized("endpointslices may not be read (403)".into());
    // A moment is none: a Role that is made anew, a token that is just being renewed.
    here.take(west.fails(Some(refused.clone())));
    beats(&mut here, &mut west, 2);
    here.take(west.fails(None));
    beats(&mut here, &mut west, 20);
    assert_eq!(here.phase("west"), Some(Phase::Live));
    assert_eq!(here.condition("west", "Connected"), (Some(true), "Connected", ""));
    here.take(west.fails(Some(refused)));
    beats(&mut here, &mut west, 4);
    assert_eq!(here.phase("west"), Some(Phase::Silent));
    let (status, reason, message) = here.condition("west", "Connected");
    assert_eq!((status, reason), (Some(false), "Unauthorized"));
    assert!(message.contains("endpointslices") && message.contains("join west"), "{message}");
    here.settle();
    assert_eq!((here.backends(), here.removals), (before.clone(), 0));
    here.take(west.fails(None));
    beats(&mut here, &mut west, 5);
    assert_eq!(here.phase("west"), Some(Phase::Live));
    assert_eq!(here.condition("west", "Connected"), (Some(true), "Connected", ""));
    here.settle();
    assert_eq!((here.backends(), here.removals), (before, 0));
}

#[test]
fn a_kind_without_an_answer_is_named_and_is_no_silence_while_the_manifest_agrees() {
    let (mut here, mut west) = live();
    let before = here.backends();
    here.take(west.fails(Some(Failure::Unreachable("endpointslices: fails (500)".into()))));
    beats(&mut here, &mut west, 9);
    assert_eq!(here.condition("west", "Connected").1, "Connected", "it may pass");
    beats(&mut here, &mut west, 12);
    assert_eq!(here.phase("west"), Some(Phase::Live), "nothing has changed there");
    let (status, reason, message) = here.condition("west", "Connected");
    assert_eq!((status, reason), (Some(true), "PartlyHeard"));
    assert!(message.starts_with("endpointslices: fails (500)"), "{message}");
    // A replica goes there: of the slices nothing is heard, and the manifest does not agree.
    west.exports.get_mut("shop/web").expect("it is exported").endpoints.pop_first();
    west.write_all();
    let news = west.deliver();
    here.take(news.into_iter().next().expect("of the ExportedServices"));
    beats(&mut here, &mut west, 12);
    here.settle();
    assert_eq!((here.phase("west"), here.backends()), (Some(Phase::Silent), before));
    assert_eq!(here.condition("west", "Connected").1, "Incomplete");
    assert_eq!(here.condition("west", "Synced").1, "Incomplete");
}
