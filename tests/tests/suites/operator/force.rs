//! Forced tiers: all load to one of them, until the fail-back.

use std::fs;

use redirector_tests::{dialer::now_us, wait::wait_until};
use serde_json::json;

use super::fixture::{TIERED, load, names, wait_for, zones};

/// How soon connects must follow an operator.
const PROMPT_US: u64 = 100_000;
/// The replica of the second tier.
const FAR: usize = 2;

#[test]
fn a_forced_tier_carries_everything_until_the_fail_back() {
    let mut zones = zones();
    let orders = json!([{"force": {"service": "operator/tiered", "tier": "far"}}]);
    let running = load(&zones, TIERED);
    let forced = now_us();
    zones.agent.answer("force", &["operator/tiered", "far"]);
    let in_force = now_us();
    assert_eq!(zones.agent.answer_json("orders", &[]), orders);
    zones.agent.restart().expect("the agent after a crash");
    assert_eq!(zones.agent.answer_json("orders", &[]), orders);
    let returned = now_us();
    zones.agent.answer("failback", &["operator/tiered"]);
    let is_back = now_us();
    wait_for(&zones, TIERED, &["a1", "a2"]);
    let dialled = running.dialled().expect("the end of a load");

    assert_eq!(dialled.iter().find(|one| one.outcome.is_err()), None, "nobody fails");
    let since =
        |from: u64, to: u64| dialled.iter().filter(move |one| (from..to).contains(&one.at_us));
    let at = |is: &dyn Fn(&str) -> bool, from: u64, to: u64| {
        since(from, to)
            .filter(|one| one.outcome.as_deref().is_ok_and(is))
            .map(|one| one.at_us)
            .collect::<Vec<_>>()
    };
    let last_near = at(&|name| name != "b", forced, returned).last().map_or(0, |at| at - forced);
    let last_far = at(&|name| name == "b", returned, u64::MAX).last().map_or(0, |at| at - returned);
    println!(
        "force: the last connect to another tier {last_near} µs after the order; fail-back: the \
         last to the forced tier {last_far} µs after the order; a crash of the agent between them"
    );
    assert!(last_near <= PROMPT_US && last_far <= PROMPT_US);
    assert!(names(since(in_force, returned)).iter().eq(&["b"]));
    assert!(names(since(is_back, u64::MAX)).iter().eq(&["a1", "a2"]));
    assert_eq!(zones.agent.answer_json("orders", &[]), json!([]));
    zones.agent.finish().expect("the agent");
}

#[test]
fn a_forced_tier_that_dies_leaves_its_load_to_the_others() {
    let mut zones = zones();
    zones.agent.answer("force", &["operator/tiered", "far"]);
    wait_for(&zones, TIERED, &["b"]);
    zones.replicas[FAR].kill();
    wait_for(&zones, TIERED, &["a1", "a2"]);
    zones.replicas[FAR].restart().expect("the replica");
    wait_for(&zones, TIERED, &["b"]);
    zones.agent.finish().expect("the agent");
}

#[test]
fn a_force_on_a_service_that_is_gone_can_be_ended() {
    let zones = zones();
    zones.agent.answer("force", &["operator/tiered", "far"]);
    let config = zones.agent.options().config.clone().expect("a file");
    let all = fs::read_to_string(&config).expect("the file");
    let (without, _) = all.split_once("- name: operator/tiered").expect("the service");
    fs::write(&config, without).expect("the file without it");
    let is_gone = || {
        let told = zones.agent.ask("explain", &["operator/tiered"]).expect("redirector");
        !told.status.success()
    };
    wait_until("the service is gone", is_gone);

    let said = zones.agent.answer("failback", &["operator/tiered"]);

    assert!(said.starts_with("failback operator/tiered: in force; "), "{said}");
    assert_eq!(zones.agent.answer_json("orders", &[]), json!([]));
    let again = zones.agent.ask("failback", &["operator/tiered"]).expect("redirector");
    assert!(!again.status.success(), "{again:?}");
    zones.agent.finish().expect("the agent");
}
