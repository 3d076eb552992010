//! Connected UDP sockets whose backend has left its service: they end by default, as soon as another
//! backend serves, whatever else still lists the one that left.

use std::time::Duration;

use redirector_tests::{tables, wait::wait_until};

use super::{
    fixture::Fixture,
    held::{Held, Transport, all_failed},
    pods::Family,
};

/// From the file to the socket.
const PROMPT: Duration = Duration::from_secs(5);

fn dial(site: &Fixture, service: usize) -> [Held; 3] {
    let sockets = [Family::V4, Family::V6, Family::Mapped]
        .map(|family| site.dial(0, service, family, Transport::Udp));
    sockets.iter().for_each(Held::works);
    sockets
}

/// Waits until the kernel has that many backends, each as often as it is listed.
fn wait_for(site: &Fixture, backends: usize) {
    wait_until("the new file is in force", || {
        tables::backends(&site.agent.dump()).count() == backends
    });
}

fn all_end(sockets: &[Held]) {
    all_failed(&sockets.iter().collect::<Vec<_>>(), PROMPT);
}

#[test]
fn a_flow_waits_for_another_backend_and_then_ends() {
    let site = Fixture::new("", "");
    let _entered = site.enter();
    site.list(&[(0, &[0]), (1, &[1])]);
    wait_for(&site, 4);
    let (flows, others) = (dial(&site, 0), dial(&site, 1));
    site.list(&[(0, &[]), (1, &[1])]);
    wait_for(&site, 2);
    flows.iter().for_each(Held::works);

    site.list(&[(0, &[2]), (1, &[1])]);

    all_end(&flows);
    others.iter().for_each(Held::works);
    dial(&site, 0);
}

#[test]
fn a_flow_ends_though_another_service_still_lists_its_backend() {
    let site = Fixture::new("", "");
    let _entered = site.enter();
    site.list(&[(0, &[0]), (1, &[0])]);
    wait_for(&site, 4);
    let (flows, others) = (dial(&site, 0), dial(&site, 1));
    let direct = site.dial_directly(0, 0, Family::V4, Transport::Udp);
    direct.works();

    site.list(&[(0, &[2]), (1, &[0])]);

    all_end(&flows);
    others.iter().for_each(Held::works);
    direct.works();
}

#[test]
fn a_flow_ends_whose_backend_left_while_no_agent_looked() {
    let mut site = Fixture::new("", "");
    let _entered = site.enter();
    site.list(&[(0, &[0]), (1, &[1])]);
    wait_for(&site, 4);
    let (flows, others) = (dial(&site, 0), dial(&site, 1));
    site.agent.kill9();
    site.list(&[(0, &[2]), (1, &[1])]);
    flows.iter().for_each(Held::works);

    site.agent.restart().expect("another agent");

    all_end(&flows);
    others.iter().for_each(Held::works);
}
