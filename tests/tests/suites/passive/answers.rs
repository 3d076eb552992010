//! What sockets show of backends that accept connections and do not answer, kind by kind: who is told from
//! whom by the kernel alone.

use std::{net::SocketAddr, thread, time::Duration};

use redirector_tests::{
    fixture::Fixture,
    script::{Kind, RawAddress, Scripter, Step},
};

use super::fixture::{REPLICA, failed, site, start};
use crate::common::{
    counter,
    obedient::{ANSWER, ANSWER_LATE, BE_SILENT, END, LATE, Obedient},
};

const POLICY: &str = "probe: off";
/// Longer than the 250 ms for which at least a request is unanswered.
const GIVEN_UP: u16 = 400;
/// Of the Service of that number, in both families.
fn frontends(number: u16) -> [SocketAddr; 2] {
    [format!("10.96.0.{number}:80"), format!("[fd96::{number}]:80")]
        .map(|address| address.parse().expect("an address"))
}

/// Services with one backend each, whose port follows from their number.
fn services(numbers: impl Iterator<Item = u16>) -> String {
    let one = |number: u16| {
        let [four, six] = frontends(number);
        let port = REPLICA + number;
        format!(
            "- name: passive/s{number}\n  frontends: ['{four}/tcp', '{six}/tcp']\n  \
             policy: {{{POLICY}}}\n  backends:\n  - {{address: '10.77.2.1:{port}'}}\n  \
             - {{address: '[fd77::2:1]:{port}'}}\n"
        )
    };
    numbers.map(one).collect()
}

/// A node whose servers do what they are told, one for each service.
fn world(count: u16) -> (Fixture, Vec<Obedient>) {
    let site = site(&["n1", "n2"]);
    let node = site.lab.node("n2");
    let servers = (1..=count).map(|number| {
        let port = REPLICA + number;
        Obedient::start(node, "n2", &[node.socket4(port), node.socket6(port)])
    });
    let servers = servers.collect();
    (start(site, &services(1..=count)), servers)
}

fn open(address: SocketAddr) -> [Step; 2] {
    let domain = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let kind = Kind { domain, kind: libc::SOCK_STREAM, protocol: 0 };
    [Step::Socket(kind), Step::Connect(RawAddress::from(address))]
}

fn say(what: &str) -> Step {
    Step::Send(what.to_owned())
}

/// Runs a connection, and closes it.
fn connection(client: &mut Scripter, address: SocketAddr, steps: &[Step]) {
    let mut script = open(address).to_vec();
    script.extend(steps.iter().cloned());
    script.push(Step::Close);
    client.run(&script).expect("replies");
}

/// A connection whose request is answered.
fn be_answered(client: &mut Scripter, address: SocketAddr) {
    connection(client, address, &[say(ANSWER), Step::Pause(20)]);
}

#[test]
fn what_is_not_answered_is_seen_however_the_client_closes() {
    let (site, servers) = world(4);
    let fresh = [say(BE_SILENT), Step::Pause(GIVEN_UP)];
    let pooled = [say(ANSWER), Step::Pause(60), say(BE_SILENT), Step::Pause(GIVEN_UP)];
    let half_closed = [say(BE_SILENT), Step::Shut, Step::Pause(GIVEN_UP)];
    let no_greeting = [Step::Pause(GIVEN_UP)];
    let mut client = Scripter::start(site.place()).expect("a client");
    let kinds: [(&str, u16, &[Step]); 4] = [
        ("a fresh connection", 1, &fresh),
        ("the second request of a kept one", 2, &pooled),
        ("half closed", 3, &half_closed),
        ("a server that spoke first", 4, &no_greeting),
    ];
    for (what, number, steps) in kinds {
        for address in frontends(number) {
            let before = counter(&site, "request_unanswered");
            // Before it has answered, its silence says nothing.
            connection(&mut client, address, steps);
            let first = counter(&site, "request_unanswered") - before;
            servers[usize::from(number) - 1].greet(number == 4);
            if number == 4 {
                connection(&mut client, address, &[Step::Pause(60)]);
            } else {
                be_answered(&mut client, address);
            }
            servers[usize::from(number) - 1].greet(false);
            connection(&mut client, address, steps);
            let seen = counter(&site, "request_unanswered") - before;
            println!("{what}, to {address}: {seen} seen of 1 after an answer, {first} before any");
            assert_eq!((first, seen), (0, 1), "{what}, to {address}");
        }
    }
    assert_eq!(counter(&site, "ejected"), 0);
    assert_eq!(counter(&site, "avoid_begun"), 0, "one request is no row");
}

#[test]
fn who_is_answered_or_asked_nothing_is_not_taken_for_silent() {
    const TIMES: usize = 6;
    let (site, _servers) = world(8);
    let late = LATE.as_millis() as u16;
    let pause = Step::Pause;
    let kinds: [(&str, u16, bool, Vec<Step>); 7] = [
        ("never answers by design", 1, false, vec![say(BE_SILENT), pause(GIVEN_UP)]),
        ("kept open after an answer", 2, true, vec![say(ANSWER), pause(GIVEN_UP)]),
        ("half closed, answered", 3, true, vec![say(ANSWER), Step::Shut, pause(GIVEN_UP)]),
        ("ends without a word", 4, true, vec![say(END), pause(GIVEN_UP)]),
        ("asked nothing", 5, true, vec![pause(GIVEN_UP)]),
        ("a farewell without an answer", 6, true, vec![say(ANSWER), pause(GIVEN_UP), say("x")]),
        ("answers late, given up before", 7, true, vec![say(ANSWER_LATE), pause(late / 2)]),
    ];
    thread::scope(|scope| {
        for (_, number, is_known, steps) in &kinds {
            let site = &site;
            scope.spawn(move || {
                let mut client = Scripter::start(site.place()).expect("a client");
                for address in frontends(*number) {
                    if *number == 7 {
                        connection(&mut client, address, &[say(ANSWER_LATE), pause(late + 200)]);
                    } else if *is_known {
                        be_answered(&mut client, address);
                    }
                    (0..TIMES).for_each(|_| connection(&mut client, address, steps));
                }
            });
        }
        // A client that waits, while another one is answered; and one that ends in between.
        scope.spawn(|| {
            let mut client = Scripter::start(site.place()).expect("a client");
            let mut other = Scripter::start(site.place()).expect("a client");
            for address in frontends(8) {
                be_answered(&mut client, address);
                for _ in 0..TIMES {
                    let [socket, connect] = open(address);
                    client.run(&[socket, connect, say(BE_SILENT)]).expect("replies");
                    thread::sleep(Duration::from_millis((GIVEN_UP / 2).into()));
                    be_answered(&mut other, address);
                    thread::sleep(Duration::from_millis((GIVEN_UP / 2).into()));
                    client.run(&[Step::Close]).expect("replies");
                }
                for _ in 0..TIMES {
                    let mut ending = Scripter::start(site.place()).expect("a client");
                    let [socket, connect] = open(address);
                    ending.run(&[socket, connect, say(BE_SILENT)]).expect("replies");
                    thread::sleep(Duration::from_millis(GIVEN_UP.into()));
                }
            }
        });
    });
    let seen = counter(&site, "request_unanswered");
    println!("{} kinds of clients, {TIMES} times each in both families: {seen} seen", 9);
    assert_eq!(seen, 0, "{:?}", kinds.map(|(what, ..)| what));
    assert_eq!(counter(&site, "avoid_begun"), 0);
    let mut client = site.client_in("n1", "later");
    let dials = (1..=8).flat_map(|number| {
        let dial = redirector_tests::dialer::Dial::tcp(frontends(number)[0]);
        client.dial(dial, 2).expect("dials")
    });
    assert_eq!(failed(&dials.collect::<Vec<_>>()).len(), 0, "all serve");
}
