//! A UDP socket keeps its backend while that is healthy, whatever else changes, and moves with it.

use std::{collections::BTreeSet, net::SocketAddr};

use redirector_tests::script::{Outcome, Scripter, Step};

use super::{
    dialogue::answerer,
    fixture::{Family, Fixture, NO_PROBE, PLAIN, Spot, backends, file, name, number, service_at},
};

/// So often a socket asks: with three replicas a chance hit has 1 in 3^19.
const QUESTIONS: usize = 20;

fn spot() -> Spot {
    Spot::service(3, 30)
}

fn services(backends: &[u8]) -> String {
    file(&[service_at("test/sticky", "udp", &[spot()], backends, NO_PROBE)])
}

#[test]
fn an_unconnected_socket_stays_when_backends_come_and_moves_when_its_own_goes() {
    let site = Fixture::new(&services(&[1, 2, 3]), &[]);
    let mut sockets: Vec<_> = Family::ALL
        .into_iter()
        .map(|family| {
            let mut client = site.client();
            let first = who_serves(&mut client, family, true);
            (family, client, first)
        })
        .collect();

    let resumed = site.agent.counter("resumed");
    site.change(&services(&[1, 2, 3, PLAIN]), |dump| backends(dump, |_| true) == 8);
    for (family, client, first) in &mut sockets {
        assert_eq!(who_serves(client, *family, false), *first, "{family:?}: one more backend");
    }
    assert!(site.agent.counter("resumed") >= resumed + (QUESTIONS * sockets.len()) as u64);

    for (family, client, first) in &mut sockets {
        let backend = backend_of(*family, number(first));
        site.drain(backend, true);
        let second = who_serves(client, *family, false);
        assert_ne!(second, *first, "{family:?}: its backend is drained");
        site.drain(backend, false);
        assert_eq!(who_serves(client, *family, false), second, "{family:?}: its old one is back");
        *first = second;
    }

    for (family, client, first) in &mut sockets {
        let lost = number(first);
        let rest: Vec<_> = [1, 2, 3, PLAIN].into_iter().filter(|other| *other != lost).collect();
        site.change(&services(&rest), |dump| backends(dump, |_| true) == 6);
        assert_ne!(who_serves(client, *family, false), *first, "{family:?}: its backend is gone");
        site.change(&services(&[1, 2, 3, PLAIN]), |dump| backends(dump, |_| true) == 8);
    }
}

#[test]
fn many_sockets_share_the_backends() {
    let site = Fixture::new(&services(&[1, 2, 3]), &[]);
    let mut client = site.client();
    for family in Family::ALL {
        let all: BTreeSet<_> = (0..60).map(|_| who_serves(&mut client, family, true)).collect();
        assert_eq!(all, (1..=3).map(name).collect(), "{family:?}");
    }
}

/// The one replica that answers all questions of the client's socket, perhaps a new one.
fn who_serves(client: &mut Scripter, family: Family, is_new: bool) -> String {
    let socket = Step::Socket(family.socket(libc::SOCK_DGRAM));
    let mut script: Vec<_> = is_new.then_some(socket).into_iter().collect();
    for _ in 0..QUESTIONS {
        script.push(Step::SendTo(spot().seen_by(family), 0, "who?".to_owned()));
        script.push(Step::Receive);
    }
    let mut all = BTreeSet::new();
    for reply in client.run(&script).expect("replies") {
        match reply.outcome {
            Outcome::Received(text, source) => {
                assert_eq!(source, spot().seen_by(family));
                all.extend(answerer(&text).map(str::to_owned));
            }
            Outcome::Failed(errno) => panic!("{family:?}: error {errno}"),
            _ => {}
        }
    }
    assert_eq!(all.len(), 1, "{family:?}: not always the same replica: {all:?}");
    all.pop_first().expect("one")
}

fn backend_of(family: Family, number: u8) -> SocketAddr {
    let family = if family == Family::Mapped { Family::Ipv4 } else { family };
    Spot::replica(number).seen_by(family).address().expect("an address")
}
