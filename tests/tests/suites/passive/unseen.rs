//! Failures that the application sees and the kernel's callbacks do not: no way to the backend, a
//! refusal that the application fetches first, a client that gives up early, callbacks taken away.
//! And the other way round: a count of SYNs is no shorter for a connect that is redirected.

use std::{fs, net::SocketAddr, thread, time::Duration};

use redirector_tests::{
    dialer::Dial,
    fixture::{Fixture, Site},
    script::{Kind, Outcome, RawAddress, Scripter, Step},
};

use super::fixture::{self, REPLICA, failed, start};
use crate::common::counter;

const POLICY: &str = "probe: off";
const DIALS: u32 = 60;
/// Refused or unreachable: so many before the client goes elsewhere.
const HARD: usize = 3;
/// Unanswered.
const SOFT: usize = 5;
/// It tries again after 1 s, and after 2 more.
const TRIES: usize = 2;
/// All sockets keep their state in storage, as before 5.19.
const STORED: &[&str] = &["--max-seats", "0"];

/// A service at one address of each family, whose backends are a replica on `n2` and these.
fn services(others: &[SocketAddr], policy: &str) -> String {
    let alive = ["10.77.2.1:8080", "[fd77::2:1]:8080"];
    let all = alive.map(str::to_owned).into_iter().chain(others.iter().map(SocketAddr::to_string));
    let backends: String = all.map(|address| format!("  - {{address: '{address}'}}\n")).collect();
    format!(
        "- name: passive/unseen\n  frontends: ['{}/tcp', '{}/tcp']\n  policy: {{{policy}}}\n  \
         backends:\n{backends}",
        FRONTENDS[0], FRONTENDS[1]
    )
}

const FRONTENDS: [&str; 2] = ["10.96.0.1:80", "[fd96::1]:80"];

fn frontends() -> [SocketAddr; 2] {
    FRONTENDS.map(|frontend| frontend.parse().expect("an address"))
}

/// Dials both families; how many fail of each.
fn dial(site: &Fixture, timeout_ms: u64) -> [usize; 2] {
    frontends().map(|address| {
        let mut client = site.client_in("n1", if address.is_ipv4() { "four" } else { "six" });
        let dialled = client.dial(Dial { timeout_ms, ..Dial::tcp(address) }, DIALS).expect("dials");
        failed(&dialled).len()
    })
}

fn site() -> Site {
    fixture::site(&["n1", "n2", "n3"]).with_replica("n2", "alive", REPLICA)
}

#[test]
fn a_backend_without_a_route_is_avoided_whatever_the_error() {
    let with_seats = ["", "unreachable", "prohibit", "blackhole"].map(|kind| (kind, &[][..]));
    for (kind, arguments) in with_seats.into_iter().chain([("", STORED)]) {
        let site = site();
        if !kind.is_empty() {
            let routes = format!("route add {kind} 10.99.0.1\nroute add {kind} fd99::1");
            site.lab.node("n1").netns().ip(&routes).expect("routes");
        }
        let lost = ["10.99.0.1:8080", "[fd99::1]:8080"].map(|one| one.parse().expect("an address"));
        let site = start(site.with_arguments(arguments), &services(&lost, POLICY));
        let failed = dial(&site, 2_000);
        println!("route {kind:?}: {failed:?} of {DIALS} failed");
        assert!(
            failed.iter().all(|failed| (1..=HARD + TRIES).contains(failed)),
            "{kind}: {failed:?}"
        );
        let text = site.agent.log();
        assert!(!text.contains(" ejected "), "one client has moved all:\n{text}");
    }
}

#[test]
fn a_refusal_that_comes_while_the_application_connects_is_a_refusal() {
    for (four, six) in [
        ("icmp port-unreachable", "icmpv6 port-unreachable"),
        ("icmp admin-prohibited", "icmpv6 admin-prohibited"),
        ("icmp prot-unreachable", "icmpv6 port-unreachable"),
    ] {
        let site = site();
        let node = site.lab.node("n3");
        let denied = [node.socket4(REPLICA), node.socket6(REPLICA)];
        let rules = format!(
            "table inet denied {{\n chain out {{\n type filter hook output priority 0\n \
             ip daddr {} tcp dport {REPLICA} reject with {four}\n \
             ip6 daddr {} tcp dport {REPLICA} reject with {six}\n }}\n }}",
            denied[0].ip(),
            denied[1].ip(),
        );
        site.lab.node("n1").netns().nft(&rules).expect("rules");
        let site = start(site, &services(&denied, POLICY));
        let failed = dial(&site, 2_000);
        println!("{four}, {six}: {failed:?} of {DIALS} failed");
        assert!(
            failed.iter().all(|failed| (1..=HARD + TRIES).contains(failed)),
            "{four}: {failed:?}"
        );
        assert_eq!(counter(&site, "connect_unanswered"), 0, "{four}: it was refused");
    }
}

#[test]
fn a_client_that_gives_up_soon_goes_elsewhere_soon() {
    for (timeout_ms, arguments) in [(100, &[][..]), (250, &[]), (100, STORED)] {
        let site = site();
        site.lab.node("n3").swallow(REPLICA).expect("a black hole");
        let node = site.lab.node("n3");
        let holes = [node.socket4(REPLICA), node.socket6(REPLICA)];
        let site = start(site.with_arguments(arguments), &services(&holes, POLICY));
        let failed = dial(&site, timeout_ms);
        println!("given up after {timeout_ms} ms: {failed:?} of {DIALS} failed");
        assert!(failed.iter().all(|failed| (1..=SOFT + TRIES).contains(failed)), "{failed:?}");
    }
}

#[test]
fn a_connect_takes_as_long_as_its_count_of_syns_says() {
    const SYNCNT: i32 = libc::TCP_SYNCNT;
    let site = site();
    site.lab.node("n3").swallow(REPLICA).expect("a black hole");
    let node = site.lab.node("n3");
    let holes = [node.socket4(REPLICA), node.socket6(REPLICA)];
    site.lab.node("n1").netns().run(|| {
        let set = |name: &str, value: &str| {
            fs::write(format!("/proc/sys/net/ipv4/tcp_syn_{name}"), value)
        };
        // Before 6.5 there is none.
        let _ = set("linear_timeouts", "0");
        set("retries", "1").expect("a count");
    });
    let text =
        services(&holes, "probe: off, connectTimeout: 60s, passive: {refused: 0, timeouts: 0}");
    let text = text.lines().filter(|line| !line.contains("77.2.1") && !line.contains("77::2:1"));
    let site = start(site, &text.map(|line| format!("{line}\n")).collect::<String>());
    let take = |address: SocketAddr, own: Option<i32>| {
        let mut client = Scripter::start(site.place()).expect("a client");
        let domain = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
        let mut script = vec![Step::Socket(Kind { domain, kind: libc::SOCK_STREAM, protocol: 0 })];
        script.extend(own.map(|own| Step::Set(libc::IPPROTO_TCP, SYNCNT, own)));
        script.extend([
            Step::Connect(RawAddress::from(address)),
            Step::Get(libc::IPPROTO_TCP, SYNCNT),
            Step::Get(libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT),
        ]);
        let replies = client.run(&script).expect("replies");
        let [.., connect, count, timeout] = &replies[..] else { panic!("{replies:?}") };
        assert_eq!(connect.outcome, Outcome::Failed(libc::ETIMEDOUT), "{replies:?}");
        assert_eq!(count.outcome, Outcome::Value(1), "as it was");
        assert_eq!(timeout.outcome, Outcome::Value(0), "as it was");
        Duration::from_micros(connect.took_us)
    };
    let all = frontends().into_iter().zip(holes).flat_map(|pair| [(pair, None), (pair, Some(1))]);
    thread::scope(|scope| {
        let begin = |((to, direct), own)| {
            let one = move |address| scope.spawn(move || take(address, own));
            (to, own, [one(to), one(direct)])
        };
        for (to, own, both) in all.map(begin).collect::<Vec<_>>() {
            let times = both.map(|thread| thread.join().expect("a connect"));
            println!("to {to}, TCP_SYNCNT {own:?}: {:?}, direct {:?}", times[0], times[1]);
            assert!(times[0] + Duration::from_millis(60) >= times[1], "shorter: {times:?}");
            assert!(times[0] <= times[1] + Duration::from_millis(500), "longer: {times:?}");
        }
    });
    site.lab.node("n3").answer_again().expect("no black hole");
}
