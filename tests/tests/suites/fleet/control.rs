//! Only the way between control planes is cut: nothing that an application sees changes.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use redirector_tests::{
    api::{Request, builders},
    fleet::{NAMESPACE, Setup},
    size::sized,
    wait::wait_within,
};
use serde_json::json;

use super::{
    fixture::{IN_ORDER, WEB},
    joined::{Seen, now, west_carries},
};

#[test]
fn a_cut_of_control_moves_nothing_until_keep_for_is_over() {
    let mut fleet = west_carries(&Setup { divisor: sized(1, 4), ..Setup::default() }, &[]);
    let keep = Duration::from_secs(sized(600, 6));
    let keep_for = json!({"spec": {"keepFor": format!("{}s", keep.as_secs())}});
    fleet.member("east").api.patch("remoteclusters", "", "west", keep_for).expect("its spec");
    let load = fleet.load(WEB, sized(1_000, 300));
    let from = now();
    fleet.member("west").control.cut().expect("a cut");
    let begun = Instant::now();
    let is_silent = || fleet.member("east").phase("west").as_deref() == Some("Silent");
    wait_within(Duration::from_secs(8), "west is Silent", is_silent, || fleet.context());
    thread::sleep((keep / 2).saturating_sub(begun.elapsed()));
    fleet.member_mut("east").controllers[0].restart().expect("it starts");
    thread::sleep((keep - Duration::from_millis(500)).saturating_sub(begun.elapsed()));
    let seen = Seen::of(load, from);
    println!(
        "only control cut for {keep:?}: {} dials, {} failed, {:?}",
        seen.dialled.len(),
        seen.failed(),
        seen.by_cluster()
    );
    assert_eq!(seen.failed(), 0, "{}", fleet.context());
    assert_eq!(seen.by_cluster().keys().collect::<Vec<_>>(), ["west"], "{}", fleet.context());
    let left = keep + Duration::from_secs(5);
    fleet.wait_within(left.saturating_sub(begun.elapsed()), WEB, &["north"]);
    println!("at keepFor: left after {:?}", begun.elapsed());
}

#[test]
fn a_link_that_toggles_makes_no_flapping() {
    // The kernel sends a SYN again after a second, whatever is divided: only with real times does a connect
    // to a link that is down fail before that is up again.
    let (divisor, length) = (sized(1, 4), Duration::from_secs(sized(300, 8)));
    let fleet = west_carries(&Setup { divisor, ..Setup::default() }, &[]);
    let east = fleet.member("east");
    // The way back of a policy that says nothing of it: the one of other tests takes 2 s.
    let in_order = IN_ORDER.replace("failback: {holdDown: 1s, ramp: 1s}", "");
    let policy = builders::FailoverPolicy::new(NAMESPACE, "web", &in_order);
    east.api.put(policy).expect("a policy");
    east.api.forget_requests();
    let load = fleet.load(WEB, 100);
    let from = now();
    let mut phases = vec![east.phase("west")];
    let begun = Instant::now();
    let toggle = Duration::from_secs(2) / divisor;
    let mut is_cut = false;
    while begun.elapsed() < length {
        let west = &fleet.member("west");
        for port in [&west.control, &west.data] {
            if is_cut { port.heal().expect("it heals") } else { port.cut().expect("a cut") }
        }
        is_cut = !is_cut;
        let until = Instant::now() + toggle;
        while Instant::now() < until {
            let now = east.phase("west");
            if phases.last() != Some(&now) {
                phases.push(now);
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
    let seen = Seen::of(load, from);
    let moves = moves(&seen);
    // Heartbeats and elections go on as ever.
    let is_write = |one: &&Request| !one.verb.is_reading() && one.resource != "leases";
    let mut writes: BTreeMap<(String, String), usize> = BTreeMap::new();
    for one in east.api.requests().iter().filter(is_write) {
        let user = one.user.rsplit(':').next().unwrap_or_default();
        *writes.entry((user.to_owned(), one.resource.clone())).or_default() += 1;
    }
    println!("toggled for {:?}: {phases:?}, moves {moves:?}, writes {writes:?}", begun.elapsed());
    assert!(phases.len() <= 5, "{phases:?}\n{}", fleet.context());
    let of_importer = writes.iter().filter(|((user, _), _)| user == "redirector-clusters");
    let of_importer: usize = of_importer.map(|(_, count)| count).sum();
    assert!(of_importer <= 150, "{writes:?}\n{}", fleet.context());
    let most = sized(&["west", "north"][..], &["west", "north"][..moves.len().clamp(1, 2)]);
    assert_eq!(moves, most, "one failover, no fail-back\n{}", fleet.context());
}

/// Which clusters answered, each named again only when another one did in between.
fn moves(seen: &Seen) -> Vec<String> {
    let mut moves: Vec<String> = Vec::new();
    for answer in seen.dialled.iter().filter_map(|one| one.outcome.as_ref().ok()) {
        let cluster = answer.split('-').next().unwrap_or_default();
        if moves.last().map(String::as_str) != Some(cluster) {
            moves.push(cluster.to_owned());
        }
    }
    moves
}
