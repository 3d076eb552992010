//! A load that ends between two maps, and one after it that asks for other capacities.

use std::fmt::Write as _;

use redirector_tests::agent::{Agent, AgentOptions};

use super::{
    fixture::{Fixture, LARGER},
    lives,
    state::{assert_gone, warnings},
};

/// Fewer than the small maps have room for.
const SERVICES: u16 = 50;

/// A map that says how much there is room for is larger than those beside it: they would be filled beyond
/// their end. The numbers of frontends and backends of each service need the larger one.
#[test]
fn maps_of_different_capacities_are_filled_up_to_the_smallest() {
    let site = Fixture::new();
    for (larger, frontends, backends) in [("HEALTH", 1, 2), ("SERVICES", 8, 1)] {
        let calls = site.calls_of_load(&[]);
        site.unload();
        let attaches = calls.iter().rposition(|call| call == "map update ").expect("updates") + 2;
        assert!(site.crash_load(attaches, &[]), "a load that has attached nothing yet");
        // As it would be had it ended before this pin.
        std::fs::remove_file(site.bpffs.maps_path().join(larger)).expect("a pin");

        site.write(&config(frontends, backends));
        let arguments = LARGER.iter().map(|argument| (*argument).to_owned()).collect();
        let options = AgentOptions { arguments, ..site.options(None) };
        let agent = Agent::start(options).expect("an agent");
        let installed = lives::services(&agent).len();
        let log = agent.log();
        let refused =
            warnings(&log).iter().filter(|line| line.contains("a limit is reached")).count();
        assert!(installed > 0 && refused > 0, "{larger}: {installed} and {refused}");
        assert_eq!(installed + refused, usize::from(SERVICES), "{larger}");
        agent.finish().expect("an agent without an error");
        assert_gone(&site, larger);
    }
}

/// Services with so many frontends and backends each.
fn config(frontends: u16, backends: u8) -> String {
    let mut text = String::from("node: {name: n1, zone: a, region: eu}\nservices:\n");
    for number in 1..=SERVICES {
        let frontends = (1..=frontends).map(|port| format!("'10.96.1.{number}:{port}/tcp'"));
        let frontends: Vec<_> = frontends.collect();
        let _ = writeln!(
            text,
            "- name: many/{number}\n  frontends: [{}]\n  backends:",
            frontends.join(", ")
        );
        for node in 2..2 + backends {
            let at = format!("10.77.{node}.1:{}", 10_000 + number);
            let _ = writeln!(text, "  - {{address: '{at}', node: n{node}, zone: a, region: eu}}");
        }
    }
    text
}
