//! A client whose own network refuses a backend that answers everybody else.

use redirector_tests::{dialer::Dial, wait::wait_until};

use super::fixture::{
    REPLICA, backend, failed, hostile, hostile_network, service, site, start, tcp,
};
use crate::common::counter;

const LIMIT: usize = 3;
const POLICY: &str = "probe: {interval: 500ms, timeout: 300ms}, \
                      passive: {refused: 3, timeouts: 5, baseEjection: 300s}";

#[test]
fn it_alone_goes_elsewhere_after_its_first_failures() {
    let site = site(&["n1", "n2", "n3", "n4"]).with_replicas(&["n2", "n4"], REPLICA);
    hostile_network(&site.lab, "ip daddr 10.77.2.1 reject with tcp reset");
    let backends = [backend(2, REPLICA), backend(4, REPLICA)];
    let site = start(site, &service("two", 1, &backends, POLICY));
    let mut denied = site.client_in("n3", "denied");
    let mut allowed = site.client_in("n1", "allowed");

    for state in ["alive", "frozen"] {
        if state == "frozen" {
            site.agent.freeze().expect("a frozen agent");
        }
        let failures = failed(&denied.dial(tcp(1), 400).expect("dials")).len();
        // Its time is over now and then meanwhile: then one connect tries again.
        let tries = counter(&site, "avoid_begun") as usize - 1;
        println!("agent {state}: {failures} failed of 400, {tries} of them tries");
        assert!(failures <= LIMIT + tries, "{failures} failures, {tries} tries");
        let dialled = allowed.dial(tcp(1), 400).expect("dials");
        assert!(failed(&dialled).is_empty(), "{:?}", failed(&dialled)[0]);
        let to_it = dialled.iter().filter(|one| one.outcome.as_deref() == Ok("n2")).count();
        assert!((120..280).contains(&to_it), "{to_it} of 400 to the backend in question");
    }
    site.agent.thaw().expect("an agent that goes on");
    assert_eq!(counter(&site, "ejected"), 0);
    wait_until("the agent has reported who cannot reach what", || {
        site.agent.log().contains("a client cannot reach it")
    });
}

#[test]
fn a_client_that_can_reach_no_backend_is_not_refused_by_us() {
    // The hostile client's own network answers for the only replica, and refuses.
    let site = hostile("reject with tcp reset", POLICY);
    site.agent.freeze().expect("a frozen agent");
    let mut client = site.client_in("n3", "hostile");
    assert_eq!(failed(&client.dial(tcp(1), 200).expect("dials")).len(), 200);
    assert!(counter(&site, "avoids_all") > 100, "it avoids all, and is let through");
    assert_eq!(counter(&site, "ejected"), 0);
    let dialled = site.client_in("n1", "good").dial(tcp(1), 200).expect("dials");
    assert!(failed(&dialled).is_empty(), "{:?}", failed(&dialled)[0]);
    site.agent.thaw().expect("an agent that goes on");
}

#[test]
fn session_affinity_holds_no_client_to_what_it_avoids() {
    let site = site(&["n1", "n2", "n3", "n4"]).with_replicas(&["n2", "n4"], REPLICA);
    let [n2, n4] = [2, 4].map(|node| site.lab.node(&format!("n{node}"))).map(|node| {
        (
            format!("{{address: '{}'}}", node.socket4(REPLICA)),
            format!("{{address: '{}'}}", node.socket6(REPLICA)),
        )
    });
    hostile_network(&site.lab, "counter accept");
    let sticky = |name, number, backends: [String; 2]| {
        service(name, number, &backends, POLICY)
            .replace("  policy:", "  affinity: {timeout: 1h}\n  policy:")
    };
    let services = sticky("four", 1, [n2.0, n4.0])
        + &sticky("six", 2, [n2.1, n4.1]).replace("10.96.0.2:80", "[fd96::2]:80");
    let site = start(site, &services);
    let mut client = site.client_in("n3", "client");
    site.agent.freeze().expect("a frozen agent");
    let address6 = Dial::tcp("[fd96::2]:80".parse().expect("an address"));
    for dial in [tcp(1), address6] {
        let first = client.dial(dial, 20).expect("dials");
        assert!(failed(&first).is_empty(), "{:?}", failed(&first)[0]);
        let held = first[0].outcome.clone().expect("an answer");
        assert!(first.iter().all(|one| one.outcome.as_ref() == Ok(&held)), "one backend");
        // From now on its own network refuses that one.
        let node = site.lab.node(&held);
        let (v4, v6) = (node.socket4(REPLICA).ip(), node.socket6(REPLICA).ip());
        let rules = format!(
            "add rule inet hostile out ip daddr {v4} reject with tcp reset\n\
             add rule inet hostile out ip6 daddr {v6} reject with tcp reset"
        );
        let denied = site.lab.node("n3").netns();
        denied.nft("flush chain inet hostile out").expect("no rules");
        denied.nft(&rules).expect("its own network");
        let later = client.dial(dial, 100).expect("dials");
        assert!(failed(&later).len() <= LIMIT + 2, "{} of 100", failed(&later).len());
        let other = later[99].outcome.clone().expect("an answer");
        assert_ne!(other, held, "held to what it avoids");
        denied.nft("flush chain inet hostile out").expect("no rules");
    }
    site.agent.thaw().expect("an agent that goes on");
}
