//! The application's own `TCP_USER_TIMEOUT` is the application's.

use std::net::SocketAddr;

use redirector_tests::{
    fixture::Fixture,
    script::{Kind, Outcome, RawAddress, Scripter, Step},
};

use super::fixture::{REPLICA, address, backend, service, site, start};

/// Nobody is ejected here: each connect meets what it shall.
const POLICY: &str = "probe: off, passive: {refused: 0, timeouts: 0}";
const SOL_TCP: i32 = libc::IPPROTO_TCP;
const OPTION: i32 = libc::TCP_USER_TIMEOUT;
const GET: Step = Step::Get(SOL_TCP, OPTION);
/// What stands in its place while nobody answers a connect: the default limit, made odd.
const BOUND: i32 = 1_001;
/// The first SYN has gone unanswered by then.
const UNANSWERED: Step = Step::Silence(400);
const OWN: [i32; 3] = [0, 300, 7_777];
const MIXED: usize = 1_000;

const GOOD: u8 = 1;
const REFUSED: u8 = 2;
const HOLE: u8 = 3;

fn scene() -> Fixture {
    let site = site(&["n1", "n2"]).with_replica("n2", "good", REPLICA);
    site.lab.node("n2").swallow(REPLICA + 2).expect("a black hole");
    let services: String = [(GOOD, REPLICA), (REFUSED, REPLICA + 1), (HOLE, REPLICA + 2)]
        .map(|(number, port)| service(&format!("s{number}"), number, &[backend(2, port)], POLICY))
        .concat();
    start(site, &services)
}

fn scripter(site: &Fixture) -> Scripter {
    Scripter::start(site.place()).expect("a scripter")
}

fn socket() -> Step {
    Step::Socket(Kind {
        domain: libc::AF_INET,
        kind: libc::SOCK_STREAM | libc::SOCK_NONBLOCK,
        protocol: 0,
    })
}

fn connect(address: SocketAddr) -> Step {
    Step::Connect(RawAddress::from(address))
}

fn outcomes(scripter: &mut Scripter, script: &[Step]) -> Vec<Outcome> {
    let replies = scripter.run(script).expect("a script");
    replies.into_iter().map(|reply| reply.outcome).collect()
}

#[test]
fn it_reads_back_unchanged_after_success_failure_and_another_attempt() {
    let site = scene();
    let mut scripter = scripter(&site);
    let ends = [
        (GOOD, Outcome::Done),
        (REFUSED, Outcome::Failed(libc::ECONNREFUSED)),
        (HOLE, Outcome::Failed(libc::ETIMEDOUT)),
    ];
    for own in OWN {
        for (first, end) in &ends {
            for is_before in [true, false] {
                let set = Step::Set(SOL_TCP, OPTION, own);
                let mut script = vec![socket()];
                script.extend(is_before.then(|| set.clone()));
                script.push(connect(address(*first)));
                script.extend((!is_before).then_some(set));
                let begun = script.len();
                script.extend([Step::Await, GET]);
                // A failed socket may be used again; a connected one is disconnected first.
                script.push(Step::Connect(RawAddress::unspecified()));
                script.extend([connect(address(GOOD)), Step::Await, GET]);
                let all = outcomes(&mut scripter, &script);
                let what = format!("{own} ms, before: {is_before}, service {first}: {all:?}");
                // Between connect and its end the application itself may wait no longer.
                assert_eq!(all[begun], *end, "{what}");
                assert_eq!(all[begun + 1], Outcome::Value(own), "{what}");
                assert_eq!(all[begun + 4], Outcome::Done, "{what}");
                assert_eq!(all[begun + 5], Outcome::Value(own), "{what}");
            }
        }
    }
}

#[test]
fn of_a_thousand_mixed_sockets_only_redirected_connects_are_touched() {
    let site = scene();
    let mut scripter = scripter(&site);
    let hole: SocketAddr = site.lab.node("n2").socket4(REPLICA + 2);
    let good: SocketAddr = site.lab.node("n2").socket4(REPLICA);
    let disconnect = || Step::Connect(RawAddress::unspecified());
    for number in 0..MIXED {
        let own = OWN[number % OWN.len()];
        let set = Step::Set(SOL_TCP, OPTION, own);
        // Direct to a black hole, direct to a replica, redirected, and direct to the very backend
        // that it was redirected to before.
        let script = [
            vec![socket(), set, connect(hole), GET, disconnect(), GET],
            vec![connect(good), Step::Await, GET, disconnect(), GET],
            vec![connect(address(HOLE)), GET, disconnect(), GET],
            vec![connect(hole), GET, disconnect(), GET],
        ]
        .concat();
        let all = outcomes(&mut scripter, &script);
        let read: Vec<_> = all
            .iter()
            .filter_map(|one| if let Outcome::Value(value) = one { Some(*value) } else { None })
            .collect();
        assert_eq!(read, [own; 8], "{number}: {all:?}");
    }
    for own in OWN {
        let begin = [socket(), Step::Set(SOL_TCP, OPTION, own)];
        for (to, during) in
            [(hole, own), (address(HOLE), if own == 300 { own } else { BOUND }), (hole, own)]
        {
            let rest = [connect(to), UNANSWERED, GET, disconnect(), GET];
            let all = outcomes(&mut scripter, &[&begin[..], &rest[..]].concat());
            assert_eq!(all[4], Outcome::Value(during), "{own} ms to {to}: {all:?}");
            assert_eq!(all[6], Outcome::Value(own), "{own} ms to {to}: {all:?}");
        }
    }
    println!(
        "{MIXED} sockets, 4 connects each: untouched; 9 without an answer: the redirected bounded"
    );
}

#[test]
fn an_unload_in_the_middle_of_a_connect_leaves_nothing_of_ours() {
    const OWN: i32 = 7_777;
    let mut site = scene();
    let mut scripter = scripter(&site);
    let begin = [
        socket(),
        Step::Set(SOL_TCP, OPTION, OWN),
        connect(address(HOLE)),
        Step::Silence(300),
        GET,
    ];
    let all = outcomes(&mut scripter, &begin);
    assert_eq!(all[4], Outcome::Value(BOUND), "{all:?}");
    site.agent.kill9();
    site.agent.printed("unload", &[]);
    let all = outcomes(&mut scripter, &[Step::Await, GET]);
    assert_eq!(all, [Outcome::Failed(libc::ETIMEDOUT), Outcome::Value(OWN)]);
}
