//! Which backends a listener serves: families, several addresses, and addresses that lie.

use std::net::{Ipv4Addr, Ipv6Addr};

use redirector_common::HealthByte;
use redirector_tests::{bpftool, server::Listen};

use super::fixture::{
    Fixture, LOCAL, PORT, REMOTE, frontend_second, frontend4, frontend6, pod_second,
};

#[test]
fn a_listener_on_every_address_serves_both_families() {
    let mut site = Fixture::new();
    let mut server = site.server(Listen::on((Ipv6Addr::UNSPECIFIED, PORT).into()));
    site.learn(frontend4());
    site.learn(frontend6());

    server.kill();
    site.assert_ejected(site.local4(), "a kill");
    site.assert_ejected(site.local6(), "a kill");
    let _server = site.server(Listen::on((Ipv6Addr::UNSPECIFIED, PORT).into()));
    site.assert_usable(site.local4(), "a new listener");
    site.assert_usable(site.local6(), "a new listener");
    site.finish();
}

#[test]
fn a_listener_for_ipv6_alone_serves_no_ipv4() {
    let mut site = Fixture::new();
    let mut server = site.server(Listen::on((Ipv4Addr::UNSPECIFIED, PORT).into()));
    let only_six = Listen { is_v6_only: true, ..Listen::on((Ipv6Addr::UNSPECIFIED, PORT).into()) };
    let six = server.open(only_six).expect("a listener");
    site.learn(frontend4());
    site.learn(frontend6());

    server.close(six).expect("it closes");
    site.assert_ejected(site.local6(), "the close of IPv6");
    site.assert_usable(site.local4(), "the close of IPv6");
    server.open(only_six).expect("a listener");
    server.close(0).expect("it closes");
    site.assert_usable(site.local6(), "the close of IPv4");
    site.assert_ejected(site.local4(), "the close of IPv4");
    site.finish();
}

#[test]
fn each_address_of_a_pod_has_a_backend_and_perhaps_a_listener_of_its_own() {
    let mut site = Fixture::new();
    site.lab.node("pod").add_address(pod_second().ip()).expect("a second address");
    let mut all = site.server(Listen::on((Ipv4Addr::UNSPECIFIED, PORT).into()));
    site.learn(frontend4());
    site.learn(frontend_second());

    all.kill();
    site.assert_ejected(site.local4(), "the death of one for all");
    site.assert_ejected(pod_second(), "the death of one for all");

    let mut server = site.server(Listen::on(site.local4()));
    site.assert_usable(site.local4(), "a listener on it");
    site.assert_ejected(pod_second(), "a listener on the other");
    let second = server.open(Listen::on(pod_second())).expect("a second one");
    site.assert_usable(pod_second(), "a listener on it");
    server.close(0).expect("it closes");
    site.assert_ejected(site.local4(), "its end");
    site.assert_usable(pod_second(), "the end of the other");
    server.close(second).expect("it closes");
    site.assert_ejected(pod_second(), "its end");
    site.finish();
}

#[test]
fn who_binds_to_an_address_that_is_not_his_ejects_nobody() {
    let mut site = Fixture::new();
    let mut server = site.server(Listen::on(site.local4()));
    site.learn(frontend4());
    let foreign = Listen { is_free: true, ..Listen::on(site.far4()) };

    let liar = server.open(foreign).expect("anybody may");
    server.close(liar).expect("it closes");
    site.assert_usable(site.far4(), "the end of a listener on its address elsewhere");
    server.kill();
    site.assert_usable(site.far4(), "the death of the pod");
    assert_eq!(site.dial(frontend4()).as_deref(), Ok(REMOTE));
    site.finish();
}

#[test]
fn a_connection_that_is_accepted_ends_an_ejection_that_was_wrong() {
    let mut site = Fixture::new();
    let _server = site.server(Listen::on(site.local4()));
    site.learn(frontend4());
    site.set_listener_byte(site.local4(), 1);
    site.assert_ejected(site.local4(), "a byte from nowhere");

    assert_eq!(site.dial(site.local4()).as_deref(), Ok(LOCAL));
    site.assert_usable(site.local4(), "an accepted connection");
    site.finish();
}

impl Fixture {
    /// As if the kernel had stored it.
    fn set_listener_byte(&self, backend: std::net::SocketAddr, value: u8) {
        let entries = bpftool::dump(&self.map("BACKENDS")).expect("the backends");
        let std::net::IpAddr::V4(address) = backend.ip() else { panic!("an IPv4 backend") };
        let wanted: Vec<u64> =
            address.to_ipv6_mapped().octets().iter().map(|byte| u64::from(*byte)).collect();
        let found = entries.iter().find(|entry| {
            let value = &entry["value"];
            let bytes = value["address"].as_array().expect("bytes");
            value["port"] == backend.port()
                && bytes.iter().filter_map(serde_json::Value::as_u64).eq(wanted.iter().copied())
        });
        let key = found.and_then(|entry| entry["key"].as_u64()).expect("the backend");
        let key = u32::try_from(key).expect("an index").to_ne_bytes();
        let mut word = bpftool::lookup(&self.map("HEALTH"), &key).expect("its health");
        word[HealthByte::Listener as usize] = value;
        bpftool::update(&self.map("HEALTH"), &key, &word).expect("one store");
    }
}
