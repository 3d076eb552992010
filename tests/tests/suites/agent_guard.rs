//! The guard of the agent: it redirects, can be killed, and leaves nothing behind.

use std::{
    net::SocketAddr,
    panic::{self, AssertUnwindSafe},
};

use redirector_tests::{
    agent::Agent,
    dialer::Dial,
    fixture::{Fixture, Site},
    one_at_a_time::one_at_a_time,
    traces::traces,
};

const CONFIG: &str = "
node: {name: n1, zone: a, region: eu, cluster: local}
services:
- name: test/one
  frontends: [\"10.96.0.10:80/tcp\"]
  backends: [{address: \"10.77.2.1:8080\", node: n2, zone: a, region: eu}]
";

#[test]
fn an_agent_redirects_survives_its_death_and_leaves_nothing_behind() {
    let _alone = one_at_a_time();
    let before = traces();
    {
        let mut fixture = fixture();
        let mut client = fixture.client();
        let agent = &mut fixture.agent;
        let service: SocketAddr = "10.96.0.10:80".parse().expect("an address");
        let mut check = || {
            for dialled in client.dial(Dial::tcp(service), 50).expect("dials") {
                assert_eq!(dialled.outcome, Ok("one".to_owned()));
                assert_eq!(dialled.peer, Some(service));
            }
        };
        check();
        agent.kill9();
        check();
        agent.spawn_again().expect("a second agent");
        agent.wait_until_ready().expect("ready");
        check();
        let (status, took) = agent.stop().expect("it stops");
        assert!(status.success(), "{status}");
        assert!(took.as_secs() < 2, "{took:?}");
        check();
    }
    assert_eq!(traces(), before);
}

#[test]
fn an_agent_leaves_nothing_behind_after_a_panic() {
    let _alone = one_at_a_time();
    let before = traces();

    let result = panic::catch_unwind(AssertUnwindSafe(|| {
        let _fixture = fixture();
        panic!("on purpose");
    }));

    assert!(result.is_err());
    assert_eq!(traces(), before);
}

#[test]
fn an_agent_that_cannot_start_fails_with_its_log() {
    let _alone = one_at_a_time();
    let before = traces();
    {
        let site = site();
        site.write("services: 7\n");
        let error = Agent::start(site.options()).expect_err("a bad file").to_string();
        assert!(error.contains("services.yaml:1:11"), "{error}");
    }
    assert_eq!(traces(), before);
}

/// An agent on n1, a replica on n2.
fn fixture() -> Fixture {
    site().start(CONFIG)
}

fn site() -> Site {
    Site::new("guard", &["n1", "n2"]).with_replica("n2", "one", 8080)
}
