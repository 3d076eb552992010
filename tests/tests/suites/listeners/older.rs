//! Listeners that are older than the programs.

use std::net::Ipv6Addr;

use redirector_tests::server::{Listen, Server};

use super::fixture::{Fixture, PORT, frontend4};

#[test]
fn a_listener_older_than_the_programs_ejects_like_any_other() {
    let mut site = Fixture::without_agent();
    let mut server = site.server(Listen::on(site.local4()));
    site.start_agent();
    site.learn(frontend4());

    server.kill();
    site.assert_ejected(site.local4(), "a kill");
    let _server = site.server(Listen::on(site.local4()));
    site.assert_usable(site.local4(), "a new listener");
    site.finish();
}

#[test]
fn who_serves_is_known_from_the_first_connection_on_and_explain_says_so() {
    let mut site = Fixture::without_agent();
    let server = site.server(Listen::on((Ipv6Addr::UNSPECIFIED, PORT).into()));
    site.start_agent();
    for (service, local) in [("shop/four", site.local4()), ("shop/six", site.local6())] {
        site.thaw();
        assert!(!site.is_watched(service, local), "{service}: no client has connected to it");
        site.dial(local).expect("a connection past the service");
        assert!(site.is_watched(service, local), "{service}: a client has");
        site.freeze();
    }

    assert_death_is_seen(server, site);
}

#[test]
fn the_agents_own_probe_is_a_connection_from_which_an_older_listener_is_known() {
    let mut site = Fixture::without_agent();
    let server = site.server(Listen::on((Ipv6Addr::UNSPECIFIED, PORT).into()));
    let probed = "probe: {tcp: {}, interval: 200ms, timeout: 200ms}";
    site.start_agent_with(&site.config().replace("probe: off", probed), &[]);
    site.thaw();
    for (service, local) in [("shop/four", site.local4()), ("shop/six", site.local6())] {
        site.wait_for("a probe", |site| site.is_watched(service, local));
    }
    site.freeze();

    assert_death_is_seen(server, site);
}

#[test]
fn of_several_older_ones_that_share_a_port_the_last_one_ejects() {
    let mut site = Fixture::without_agent();
    let mut one = site.server(Listen::sharing(site.local4()));
    let mut other = site.server(Listen::sharing(site.local4()));
    site.start_agent();
    site.learn(frontend4());
    let mut young = site.server(Listen::sharing(site.local4()));

    one.kill();
    site.assert_usable(site.local4(), "the death of one of three");
    young.kill();
    site.assert_usable(site.local4(), "the death of the one that was counted");
    other.kill();
    site.assert_ejected(site.local4(), "the death of the last one");
    site.finish();
}

#[test]
fn an_older_listener_that_a_forked_process_shares_lives_as_long_as_either() {
    let mut site = Fixture::without_agent();
    let mut server = site.server(Listen::on(site.local4()));
    server.fork().expect("a fork");
    site.start_agent();
    site.learn(frontend4());

    server.kill();
    site.assert_usable(site.local4(), "the parent's death");
    site.finish();
}

/// In both families, at once.
fn assert_death_is_seen(mut server: Server, site: Fixture) {
    server.kill();
    site.assert_ejected(site.local4(), "a kill");
    site.assert_ejected(site.local6(), "a kill");
    site.finish();
}
