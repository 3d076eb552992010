//! UDP flows are flows: an answer is no dial, a connected socket that names its destination keeps its
//! backend, and an answer under way comes from the address dialled.

use std::net::SocketAddr;

use redirector_tests::{
    place::Place,
    script::{Outcome, RawAddress, Scripter, Step},
};
use serde_json::Value;

use super::{
    dialogue::answerer,
    fixture::{Family, Fixture, NO_PROBE, PLAIN, Spot, backends, file, name, service_at},
};

/// An address that a host has and that is a service's, as of a node port.
const HOST: fn() -> Spot = || Spot::replica(PLAIN).with_port(5060);
/// Where an application on the client's node listens.
const PORT: u16 = 5060;

/// A service at that address with these backends.
fn services(frontend: Spot, backends: &[Spot]) -> String {
    let mut text = service_at("test/flows", "udp", &[frontend], &[], NO_PROBE);
    let lines = backends.iter().flat_map(|spot| spot.addresses());
    let lines: String = lines.map(|address| format!("\n  - {{address: \"{address}\"}}")).collect();
    if !lines.is_empty() {
        text = text.replace(" []\n  policy", &format!("{lines}\n  policy"));
    }
    file(&[text])
}

/// Makes these the backends of the service.
fn serve(site: &Fixture, frontend: Spot, all: &[Spot]) {
    let addresses: Vec<SocketAddr> = all.iter().flat_map(|spot| spot.addresses()).collect();
    let is_one = |found: &Value| {
        let is = |one: &SocketAddr| {
            found["address"] == one.ip().to_string() && found["port"] == one.port()
        };
        addresses.iter().any(is)
    };
    site.change(&services(frontend, all), |dump| {
        backends(dump, |_| true) == addresses.len() && backends(dump, is_one) == addresses.len()
    });
}

/// An application of the client's node, bound there.
fn bound(site: &Fixture, family: Family) -> (Scripter, RawAddress) {
    let mut server = site.client();
    let here = here(site).seen_by(family);
    let outcomes = run(&mut server, &[udp(family), Step::Bind(here.clone())]);
    assert_eq!(outcomes, [Outcome::Done, Outcome::Done], "{here:?}");
    (server, here)
}

/// A process on the host, bound to its address, which is not redirected.
fn host(site: &Fixture, family: Family) -> Scripter {
    let place = Place::netns(site.lab.node("replicas").netns());
    let mut host = Scripter::start(place).expect("a host");
    let outcomes = run(&mut host, &[udp(family), Step::Bind(HOST().seen_by(family))]);
    assert_eq!(outcomes, [Outcome::Done, Outcome::Done]);
    host
}

fn here(site: &Fixture) -> Spot {
    let node = site.lab.node("client");
    Spot { v4: node.ipv4(), v6: node.ipv6(), port: PORT }
}

fn udp(family: Family) -> Step {
    Step::Socket(family.socket(libc::SOCK_DGRAM))
}

fn send_to(to: &RawAddress, text: &str) -> Step {
    Step::SendTo(to.clone(), 0, text.to_owned())
}

fn received(text: &str, from: &RawAddress) -> Outcome {
    Outcome::Received(text.to_owned(), from.clone())
}

fn run(socket: &mut Scripter, steps: &[Step]) -> Vec<Outcome> {
    let replies = socket.run(steps).expect("replies");
    replies.into_iter().map(|reply| reply.outcome).collect()
}

/// Asks, and says who answers.
fn ask(socket: &mut Scripter, step: Step, from: &RawAddress) -> String {
    let outcomes = run(socket, &[step, Step::Receive]);
    let Outcome::Received(text, source) = &outcomes[1] else { panic!("{from:?}: {outcomes:?}") };
    assert_eq!(source, from, "{text}");
    answerer(text).unwrap_or_else(|| panic!("{from:?}: {text}")).to_owned()
}

#[test]
fn what_is_sent_to_a_host_that_wrote_first_is_an_answer() {
    let site = Fixture::new(&services(HOST(), &[]), &[]);
    // The server is a backend of the service, alone or not, as behind a node port.
    for all in [&[here(&site)][..], &[here(&site), Spot::replica(1)]] {
        serve(&site, HOST(), all);
        for family in Family::ALL {
            let (mut server, here) = bound(&site, family);
            let mut host = host(&site, family);
            let there = HOST().seen_by(family);
            for question in ["one", "two"] {
                run(&mut host, &[send_to(&here, question)]);
                assert_eq!(run(&mut server, &[Step::Receive]), [received(question, &there)]);
                run(&mut server, &[send_to(&there, "answer")]);
                let answer = run(&mut host, &[Step::Receive]);
                assert_eq!(answer, [received("answer", &here)], "{family:?}, {all:?}");
            }
            assert_eq!(run(&mut server, &[Step::Silence(50)]), [Outcome::Done]);
        }
    }
}

#[test]
fn so_is_what_another_socket_of_that_port_sends_also_a_connected_one() {
    let site = Fixture::new(&services(HOST(), &[Spot::replica(1)]), &[]);
    for family in Family::ALL {
        let there = HOST().seen_by(family);
        let reuse = Step::Set(libc::SOL_SOCKET, libc::SO_REUSEPORT, 1);
        let here = here(&site).seen_by(family);
        let mut listener = site.client();
        run(&mut listener, &[udp(family), reuse.clone(), Step::Bind(here.clone())]);
        let mut host = host(&site, family);
        run(&mut host, &[send_to(&here, "question")]);
        assert_eq!(run(&mut listener, &[Step::Receive]), [received("question", &there)]);
        let mut worker = site.client();
        let connected = [
            udp(family),
            reuse,
            Step::Bind(here.clone()),
            Step::Connect(there.clone()),
            Step::Send("answer".to_owned()),
        ];
        run(&mut worker, &connected);
        assert_eq!(run(&mut host, &[Step::Receive]), [received("answer", &here)], "{family:?}");
    }
}

#[test]
fn a_first_contact_from_that_very_port_is_redirected_and_stays_so() {
    let site = Fixture::new(&services(HOST(), &[Spot::replica(1)]), &[]);
    for family in Family::ALL {
        let (mut dialler, here) = bound(&site, family);
        let there = HOST().seen_by(family);
        assert_eq!(ask(&mut dialler, send_to(&there, "question"), &there), name(1), "{family:?}");
        // Anybody may forge that.
        run(&mut host(&site, family), &[send_to(&here, "forged")]);
        assert_eq!(run(&mut dialler, &[Step::Receive]), [received("forged", &there)]);
        assert_eq!(ask(&mut dialler, send_to(&there, "again"), &there), name(1), "{family:?}");
    }
}

#[test]
fn no_socket_is_redirected_to_itself() {
    const SOCKETS: usize = 12;
    let site = Fixture::new(&services(HOST(), &[]), &[]);
    let there = |family| HOST().seen_by(family);
    serve(&site, HOST(), &[here(&site), Spot::replica(1)]);
    for family in Family::ALL {
        for _ in 0..SOCKETS {
            let (mut server, _) = bound(&site, family);
            let question = send_to(&there(family), "question");
            assert_eq!(ask(&mut server, question, &there(family)), name(1), "{family:?}");
            drop(server);
            let (mut server, _) = bound(&site, family);
            let connected = run(&mut server, &[Step::Connect(there(family))]);
            assert_eq!(connected, [Outcome::Done], "{family:?}");
            let question = Step::Send("question".to_owned());
            assert_eq!(ask(&mut server, question, &there(family)), name(1), "{family:?}");
        }
    }
    serve(&site, HOST(), &[here(&site)]);
    for family in Family::ALL {
        let (mut server, _) = bound(&site, family);
        let steps = [send_to(&there(family), "question"), Step::Silence(100)];
        assert_eq!(run(&mut server, &steps), [Outcome::Sent(8), Outcome::Done], "{family:?}");
    }
}

#[test]
fn a_connected_socket_that_names_its_destination_keeps_its_backend() {
    const SOCKETS: usize = 8;
    let spot = Spot::service(3, 30);
    let site = Fixture::new(&services(spot, &[Spot::replica(1), Spot::replica(2)]), &[]);
    let all = Family::ALL.into_iter().flat_map(|family| [family; SOCKETS]);
    let mut sockets: Vec<_> = all
        .map(|family| {
            let (mut socket, there) = (site.client(), spot.seen_by(family));
            run(&mut socket, &[udp(family), Step::Connect(there.clone())]);
            let first = ask(&mut socket, Step::Send("question".to_owned()), &there);
            (socket, family, there, first)
        })
        .collect();
    let keep = |socket: &mut Scripter, there: &RawAddress, first: &str, when: &str| {
        let named = ask(socket, send_to(there, "named"), there);
        let plain = ask(socket, Step::Send("plain".to_owned()), there);
        assert_eq!((&*named, &*plain), (first, first), "{when}");
    };
    for (socket, _, there, first) in &mut sockets {
        keep(socket, there, first, "nothing has changed");
    }
    for backend in Spot::replica(1).addresses() {
        site.drain(backend, true);
    }
    for (socket, _, there, first) in &mut sockets {
        keep(socket, there, first, "one is drained");
    }
    serve(&site, spot, &[Spot::replica(2), Spot::replica(3)]);
    // Those of the one that is gone end where the agent may do that: suite `resets`.
    let kept = sockets.iter_mut().filter(|(.., first)| *first == name(2));
    for (socket, _, there, first) in kept {
        keep(socket, there, first, "another one is gone");
    }
}

#[test]
fn an_answer_under_way_comes_from_the_address_dialled() {
    let spot = Spot::service(3, 30);
    let site = Fixture::new(&services(spot, &[]), &[]);
    for family in Family::ALL {
        // It answers when this test wants it to.
        serve(&site, spot, &[HOST()]);
        let (mut slow, there) = (host(&site, family), spot.seen_by(family));
        let (mut client, here) = bound(&site, family);
        run(&mut client, &[send_to(&there, "first")]);
        assert_eq!(run(&mut slow, &[Step::Receive]), [received("first", &here)]);
        serve(&site, spot, &[Spot::replica(1)]);
        assert_eq!(ask(&mut client, send_to(&there, "second"), &there), name(1), "{family:?}");
        run(&mut slow, &[send_to(&here, "late")]);
        assert_eq!(run(&mut client, &[Step::Receive]), [received("late", &there)], "{family:?}");
        assert_eq!(ask(&mut client, send_to(&there, "third"), &there), name(1), "{family:?}");
    }
}
