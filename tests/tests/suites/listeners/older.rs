//! Listeners that are older than the programs.

use std::net::Ipv6Addr;

use redirector_tests::server::{Listen, Server};

use crate::listeners::stage::{PORT, Stage, frontend4};

#[test]
fn a_listener_older_than_the_programs_ejects_like_any_other() {
    let mut stage = Stage::without_agent();
    let mut server = stage.server(Listen::on(stage.local4()));
    stage.start_agent();
    stage.learn(frontend4());

    server.kill();
    stage.assert_ejected(stage.local4(), "a kill");
    let _server = stage.server(Listen::on(stage.local4()));
    stage.assert_usable(stage.local4(), "a new listener");
    stage.finish();
}

#[test]
fn who_serves_is_known_from_the_first_connection_on_and_explain_says_so() {
    let mut stage = Stage::without_agent();
    let server = stage.server(Listen::on((Ipv6Addr::UNSPECIFIED, PORT).into()));
    stage.start_agent();
    for (service, local) in [("shop/four", stage.local4()), ("shop/six", stage.local6())] {
        stage.thaw();
        assert!(!stage.is_watched(service, local), "{service}: no client has connected to it");
        stage.dial(local).expect("a connection past the service");
        assert!(stage.is_watched(service, local), "{service}: a client has");
        stage.freeze();
    }

    assert_death_is_seen(server, stage);
}

#[test]
fn the_agents_own_probe_is_a_connection_from_which_an_older_listener_is_known() {
    let mut stage = Stage::without_agent();
    let server = stage.server(Listen::on((Ipv6Addr::UNSPECIFIED, PORT).into()));
    let probed = "probe: {tcp: {}, interval: 200ms, timeout: 200ms}";
    stage.start_agent_with(&stage.config().replace("probe: off", probed), &[]);
    stage.thaw();
    for (service, local) in [("shop/four", stage.local4()), ("shop/six", stage.local6())] {
        stage.wait_for("a probe", |stage| stage.is_watched(service, local));
    }
    stage.freeze();

    assert_death_is_seen(server, stage);
}

#[test]
fn of_several_older_ones_that_share_a_port_the_last_one_ejects() {
    let mut stage = Stage::without_agent();
    let mut one = stage.server(Listen::sharing(stage.local4()));
    let mut other = stage.server(Listen::sharing(stage.local4()));
    stage.start_agent();
    stage.learn(frontend4());
    let mut young = stage.server(Listen::sharing(stage.local4()));

    one.kill();
    stage.assert_usable(stage.local4(), "the death of one of three");
    young.kill();
    stage.assert_usable(stage.local4(), "the death of the one that was counted");
    other.kill();
    stage.assert_ejected(stage.local4(), "the death of the last one");
    stage.finish();
}

#[test]
fn an_older_listener_that_a_forked_process_shares_lives_as_long_as_either() {
    let mut stage = Stage::without_agent();
    let mut server = stage.server(Listen::on(stage.local4()));
    server.fork().expect("a fork");
    stage.start_agent();
    stage.learn(frontend4());

    server.kill();
    stage.assert_usable(stage.local4(), "the parent's death");
    stage.finish();
}

/// In both families, at once.
fn assert_death_is_seen(mut server: Server, stage: Stage) {
    server.kill();
    stage.assert_ejected(stage.local4(), "a kill");
    stage.assert_ejected(stage.local6(), "a kill");
    stage.finish();
}
