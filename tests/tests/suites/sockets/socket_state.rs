//! What one socket shows when it has dialled several addresses that lead to one backend.
//!
//! The services with one backend share it, so every address here leads to replica 1.

use redirector_tests::script::Step;

use super::{
    dialogue::Dialogue,
    fixture::{Family, Fixture, Spot, all_services, file, name, service_at},
};

/// The addresses A and B, and the backend behind both.
const A: fn() -> Spot = || Spot::service(1, 10);
const B: fn() -> Spot = || Spot::service(1, 11);
const BACKEND: fn() -> Spot = || Spot::replica(1);

/// What to do with the socket, in order.
#[derive(Debug, Clone, Copy)]
enum Act {
    /// `connect`; from then on the peer is this.
    Connect(fn() -> Spot),
    /// A connect that fails because no route leads there.
    ConnectNowhere,
    Disconnect,
    /// `sendto`.
    Send(fn() -> Spot),
    /// One `sendmmsg`.
    SendBoth(fn() -> Spot, fn() -> Spot),
    /// The answer comes from there.
    From(fn() -> Spot),
    /// `send` and an answer from there.
    Ask(fn() -> Spot),
    /// `getpeername` is this.
    Peer(fn() -> Spot),
}

use Act::{Ask, Connect, ConnectNowhere, Disconnect, From, Peer, Send, SendBoth};

/// By what they show.
const UDP: &[(&str, &[Act])] = &[
    ("the address dialled last", &[Send(A), From(A), Send(B), From(B)]),
    ("A, B, A again", &[Send(A), Send(B), Send(A), From(A), From(A), From(A)]),
    ("A, then B before A's answer is read", &[Send(A), Send(B), From(B), From(B)]),
    ("both in one call", &[SendBoth(A, B), From(B), From(B), SendBoth(B, A), From(A), From(A)]),
    ("connected to A, then to B", &[Connect(A), Peer(A), Connect(B), Peer(B), Ask(B)]),
    ("A, then the backend itself", &[Send(A), From(A), Send(BACKEND), From(BACKEND)]),
    (
        "A, the backend itself, A again",
        &[Send(A), From(A), Send(BACKEND), From(BACKEND), Send(A), From(A)],
    ),
    (
        "A and B, then the backend itself",
        &[Send(A), From(A), Send(B), From(B), Send(BACKEND), From(BACKEND)],
    ),
    (
        "connected to A, then to the backend itself",
        &[Connect(A), Peer(A), Ask(A), Connect(BACKEND), Peer(BACKEND), Ask(BACKEND)],
    ),
    (
        "connected to A, to the backend itself, and to A again",
        &[Connect(A), Connect(BACKEND), Peer(BACKEND), Connect(A), Peer(A), Ask(A)],
    ),
    (
        "sent to A, then connected to the backend itself",
        &[Send(A), From(A), Connect(BACKEND), Peer(BACKEND), Ask(BACKEND)],
    ),
    (
        "connected to A, disconnected, then sent to the backend itself",
        &[Connect(A), Ask(A), Disconnect, Send(BACKEND), From(BACKEND)],
    ),
    (
        "connected to B, disconnected, then sent to A",
        &[Connect(B), Ask(B), Disconnect, Send(A), From(A)],
    ),
    ("sent to A, then connected to B", &[Send(A), From(A), Connect(B), Peer(B), Ask(B)]),
    (
        "sent to A, connected to B, disconnected, sent to A",
        &[Send(A), From(A), Connect(B), Ask(B), Disconnect, Send(A), From(A)],
    ),
    ("connected to A, then in vain elsewhere", &[Connect(A), ConnectNowhere, Peer(A), Ask(A)]),
];

const TCP: &[(&str, &[Act])] = &[
    ("connected to A, then to B", &[Connect(A), Peer(A), Disconnect, Connect(B), Peer(B)]),
    (
        "connected to A, then to the backend itself",
        &[Connect(A), Peer(A), Disconnect, Connect(BACKEND), Peer(BACKEND)],
    ),
    (
        "connected to the backend itself, then to A",
        &[Connect(BACKEND), Peer(BACKEND), Disconnect, Connect(A), Peer(A)],
    ),
];

#[test]
fn a_socket_shows_the_address_that_it_dialled_last() {
    let site = Fixture::new(&all_services(), &[]);
    let mut client = site.client();
    let mut faults = Vec::new();
    let mut stories = 0;
    for (kind, all) in [(libc::SOCK_DGRAM, UDP), (libc::SOCK_STREAM, TCP)] {
        for (story, acts) in all {
            for family in Family::ALL {
                let dialogue = dialogue(family, kind, acts);
                let replies = client.run(dialogue.steps()).expect("replies");
                let here = dialogue.faults(&replies);
                faults.extend(here.iter().map(|fault| format!("{story}, {family:?}: {fault}")));
                stories += 1;
            }
        }
    }
    println!("addresses that share a backend: {stories} stories");
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn two_frontends_of_one_service_are_told_apart() {
    let spots = [Spot::service(1, 20), Spot::service(1, 21)];
    let services = service_at("test/two", "udp", &spots, &[1], super::fixture::NO_PROBE);
    let site = Fixture::new(&file(&[services]), &[]);
    let mut client = site.client();
    for family in Family::ALL {
        let mut dialogue = Dialogue::default();
        dialogue.socket(family.socket(libc::SOCK_DGRAM));
        for spot in [spots[0], spots[1], spots[0]] {
            dialogue.send_to(spot.seen_by(family));
            dialogue.answer(&[name(1)], spot.seen_by(family));
        }
        let replies = client.run(dialogue.steps()).expect("replies");
        assert_eq!(dialogue.faults(&replies), [""; 0], "{family:?}");
    }
}

/// A socket remembers eight destinations. One more forgets the one used least recently, and says so;
/// what it sends goes on being redirected.
#[test]
fn a_ninth_destination_takes_the_place_of_the_one_used_least_recently() {
    const REMEMBERED: usize = 8;
    let spots: Vec<_> = (20..32).map(|number| Spot::service(1, number)).collect();
    let services = service_at("test/many", "udp", &spots, &[1], super::fixture::NO_PROBE);
    let site = Fixture::new(&file(&[services]), &[]);
    let mut client = site.client();
    for family in Family::ALL {
        let before = site.agent.counter("forgotten");
        let mut use_all = |is_new: bool, spots: &[Spot], forgotten: usize, when: &str| {
            let mut dialogue = Dialogue::default();
            if is_new {
                dialogue.socket(family.socket(libc::SOCK_DGRAM));
            }
            for spot in spots {
                dialogue.send_to(spot.seen_by(family));
                dialogue.answer(&[name(1)], spot.seen_by(family));
            }
            let replies = client.run(dialogue.steps()).expect("replies");
            assert_eq!(dialogue.faults(&replies), [""; 0], "{family:?}, {when}");
            assert_eq!(
                site.agent.counter("forgotten"),
                before + forgotten as u64,
                "{family:?}, {when}"
            );
        };
        let (first, others) = spots.split_at(REMEMBERED);
        use_all(true, first, 0, "eight are remembered");
        use_all(false, &first[..1], 0, "the first one is in use");
        use_all(false, others, others.len(), "four more");
        let kept: Vec<Spot> = first[..1].iter().chain(&first[5..]).chain(others).copied().collect();
        use_all(false, &kept, others.len(), "the others, and the one in use, are remembered");
        use_all(false, &first[1..2], others.len() + 1, "it was forgotten, and is learned anew");
    }
}

fn dialogue(family: Family, kind: i32, acts: &[Act]) -> Dialogue {
    let seen = |spot: fn() -> Spot| spot().seen_by(family);
    let names = [name(1)];
    let mut dialogue = Dialogue::default();
    dialogue.socket(family.socket(kind));
    for act in acts {
        match *act {
            Connect(to) => dialogue.connect(seen(to), true),
            ConnectNowhere => {
                // A service's address, but no port of one.
                let nowhere = A().with_port(81).seen_by(family);
                dialogue.fails(Step::Connect(nowhere), libc::ENETUNREACH);
            }
            Disconnect => dialogue.disconnect(),
            Send(to) => dialogue.send_to(seen(to)),
            SendBoth(one, other) => dialogue.send_many(&[seen(one), seen(other)], 2),
            From(source) => dialogue.answer(&names, seen(source)),
            Ask(source) => {
                dialogue.send();
                dialogue.answer(&names, seen(source));
            }
            Peer(peer) => dialogue.peer_is(seen(peer)),
        }
    }
    dialogue
}
