//! Seats: whoever finds one taken remembers in storage instead, and none is left taken.

use std::thread;

use redirector_tests::{
    bpftool,
    dialer::{Dial, Dialled, Transport},
    fixture::Site,
    script::{Outcome, RawAddress, Step},
};

use super::{
    dialogue::Dialogue,
    fixture::{Family, Fixture, Spot, all_services, name},
};

/// Who would miss what sits in each seat.
fn refs(site: &Fixture) -> Vec<u64> {
    let entries = bpftool::dump(&site.map("SEATS")).expect("the seats");
    let refs = entries.iter().map(|entry| entry["value"]["refs"].as_u64());
    refs.map(|refs| refs.expect("a number")).collect()
}

#[test]
fn a_socket_whose_seat_is_taken_remembers_all_the_same() {
    let site = Fixture::new(&all_services(), &["--max-seats", "1"]);
    let mut holder = site.client();
    let mut other = site.client();
    assert_eq!(refs(&site), [0]);
    for family in Family::ALL {
        let [service, second] = [10, 11].map(|number| Spot::service(1, number).seen_by(family));
        let backend = Spot::replica(1).seen_by(family);
        for kind in [libc::SOCK_STREAM, libc::SOCK_DGRAM] {
            let mut held = Dialogue::default();
            held.socket(family.socket(kind));
            held.connect(service.clone(), true);
            held.peer_is(service.clone());
            let replies = holder.run(held.steps()).expect("replies");
            assert_eq!(held.faults(&replies), [""; 0], "{family:?}");
            assert_eq!(refs(&site), [1], "{family:?}: its descriptor, and no connect any more");

            let mut dialogue = Dialogue::default();
            dialogue.socket(family.socket(libc::SOCK_STREAM));
            dialogue.connect(second.clone(), true);
            dialogue.peer_is(second.clone());
            dialogue.answer(&[name(1)], RawAddress::none());
            dialogue.socket(family.socket(libc::SOCK_DGRAM));
            dialogue.connect(second.clone(), true);
            dialogue.peer_is(second.clone());
            dialogue.connect(backend.clone(), true);
            dialogue.peer_is(backend.clone());
            dialogue.connect(service.clone(), true);
            dialogue.peer_is(service.clone());
            let replies = other.run(dialogue.steps()).expect("replies");
            assert_eq!(dialogue.faults(&replies), [""; 0], "{family:?}");

            let mut still = Dialogue::default();
            still.peer_is(service.clone());
            let replies = holder.run(still.steps()).expect("replies");
            assert_eq!(still.faults(&replies), [""; 0], "{family:?}: another one took its seat");
        }
    }
    drop((holder, other));
    site.wait_until("the seat is free", |_| refs(&site) == [0]);
}

/// Connects that succeed, are refused, and are given up while nobody has answered yet.
#[test]
fn no_seat_stays_taken_when_its_socket_is_gone() {
    const TIMES: u32 = 3_000;
    let site = Fixture::new(&all_services(), &["--max-seats", "4"]);
    let dial = |transport, number| Dial {
        address: (Spot::service(3, number).v4, 80).into(),
        transport,
        timeout_ms: 5_000,
    };
    // Applications that dial, beside the one that runs scripts.
    let dialers_of: &Site = &site;
    let done: Vec<Dialled> = thread::scope(|scope| {
        let dialers: Vec<_> = [(Transport::Tcp, 10), (Transport::Tcp, 11), (Transport::Udp, 10)]
            .map(|(transport, number)| {
                scope.spawn(move || {
                    let mut client = dialers_of.client();
                    let dial = dial(transport, number);
                    let done = client.dial(dial, TIMES).expect("dials");
                    let strange = done.iter().find(|one| one.peer != Some(dial.address));
                    assert!(strange.is_none(), "another's address: {strange:?}");
                    done
                })
            })
            .into();
        scope.spawn(|| give_up(&site, 300));
        dialers.into_iter().flat_map(|dialer| dialer.join().expect("a dialer")).collect()
    });
    let failed = done.iter().filter(|one| one.outcome.is_err()).count();
    println!("seats: {} dials over 4 seats, {failed} failed", done.len());
    assert_eq!((done.len(), failed), (3 * TIMES as usize, 0));
    site.wait_until("every seat is free", |_| refs(&site) == [0; 4]);
}

/// Non-blocking connects to a service, each closed at once by opening the next socket.
fn give_up(site: &Fixture, times: usize) {
    let mut client = site.client();
    let service = Spot::service(3, 10).seen_by(Family::Ipv4);
    let kind = Family::Ipv4.socket(libc::SOCK_STREAM | libc::SOCK_NONBLOCK);
    let step = |_| [Step::Socket(kind), Step::Connect(service.clone())];
    let steps: Vec<_> = (0..times).flat_map(step).collect();
    let replies = client.run(&steps).expect("replies");
    let in_progress = Outcome::Failed(libc::EINPROGRESS);
    let begun = replies.iter().filter(|reply| reply.outcome == in_progress).count();
    assert_eq!(begun, times);
}
