//! Session affinity: a client has one endpoint of a Service port, whichever of the port's addresses
//! it dials, until it has not dialled for as long as the Service says.
//!
//! kube-proxy: `newBaseServiceInfo` reads it, `iptables/proxier.go` `writeServiceToEndpointRules`
//! keeps one list of recent clients per endpoint.

use std::{collections::BTreeSet, net::SocketAddr, thread, time::Duration};

use nix::time::ClockId;
use redirector_tests::dialer::{Client, Dial, Dialled};

use super::{
    cases::Case,
    check::enough,
    expected::{self, Told},
    placed::Placed,
    waves::WaveCluster,
};

/// Seconds, of the Services below.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Ports that all find the same again by chance have 1 in 3^19.
const PORTS: usize = 19;

#[test]
fn a_client_keeps_its_endpoint_over_all_addresses_of_a_port() {
    let (shared, cases) = shared(addresses());
    let mut client = shared.cluster.client().expect("an application");
    for told in &cases[0].told {
        for family in [true, false] {
            let mut answered = BTreeSet::new();
            let same = told.frontends.iter().filter(|(socket, _)| socket.is_ipv4() == family);
            for (socket, protocol) in same {
                let dial = match protocol {
                    expected::Protocol::Tcp => Dial::tcp(*socket),
                    expected::Protocol::Udp => Dial::udp(*socket),
                };
                answered.extend(answers(&mut client, dial, enough(3)));
            }
            assert_eq!(answered.len(), 1, "{}: {answered:?}", told.service);
        }
    }
    println!("conformance: affinity: one endpoint over all addresses of a port, of either family");
}

#[test]
fn affinity_outlasts_the_turn_of_a_second() {
    let (shared, cases) = shared(short());
    let mut client = shared.cluster.client().expect("an application");
    // The programs count whole seconds of this clock.
    let now = ClockId::CLOCK_MONOTONIC.now().expect("the time");
    let left = u64::try_from(1_000_000_000 - now.tv_nsec()).expect("within a second");
    thread::sleep(Duration::from_nanos(left).saturating_sub(Duration::from_millis(50)));
    let before = all(&mut client, &cases[0].told);
    thread::sleep(Duration::from_millis(60));
    assert_eq!(all(&mut client, &cases[0].told), before);
}

#[test]
fn affinity_ends_after_its_timeout() {
    let (shared, cases) = shared(short());
    let mut client = shared.cluster.client().expect("an application");
    let first = all(&mut client, &cases[0].told);
    // What is waited for is that nobody dials.
    thread::sleep(TIMEOUT * 2 + Duration::from_millis(100));
    let second = all(&mut client, &cases[0].told);
    let others = first.iter().zip(&second).filter(|(first, second)| first != second).count();
    assert!(others > 0, "after the timeout everybody has the same endpoint: {first:?}");
    println!("conformance: affinity: {others} of {PORTS} ports had another endpoint after 1 s");
}

/// A Service with many ports, whose affinity lasts [`TIMEOUT`].
fn short() -> Case {
    let ports: Vec<_> = (1..=PORTS).map(|port| format!("port=p{port}:{port}/TCP")).collect();
    let numbers: Vec<_> = (1..=PORTS).map(|port| format!("port=p{port}:8080/TCP")).collect();
    let cluster = format!(
        "
service web ip=10.96.0.1 {} affinity=1
slice web-1 of=web v4 {}
  10.1.0.1@n2
  10.1.0.2@n2
  10.1.0.3@n2",
        ports.join(" "),
        numbers.join(" ")
    );
    let told: Vec<_> = (1..=PORTS)
        .map(|port| {
            format!(
                "shop/web:p{port} 10.96.0.1:{port}/tcp => P 10.1.0.1:8080 10.1.0.2:8080 \
                 10.1.0.3:8080 affinity=1"
            )
        })
        .collect();
    Case {
        source: "iptables/proxier.go writeServiceToEndpointRules".to_owned(),
        rule: "a client that has not dialled for the timeout may get another endpoint".to_owned(),
        cluster,
        told: told.join("\n"),
    }
}

/// A Service with addresses of every kind, in both families.
fn addresses() -> Case {
    Case {
        source: "serviceport.go newBaseServiceInfo".to_owned(),
        rule: "session affinity is one over all addresses of a port".to_owned(),
        cluster: "
service web ip=10.96.0.1,fd00:96::1 port=http:80/TCP:30080 port=dns:53/UDP type=LoadBalancer vip=203.0.113.9 external=198.51.100.3 affinity=600
slice web-1 of=web v4 port=http:8080/TCP port=dns:53/UDP
  10.1.0.1@n2
  10.1.0.2@n2
  10.1.0.3@n2
slice web-6 of=web v6 port=http:8080/TCP port=dns:53/UDP
  fd00:1::1@n2
  fd00:1::2@n2
  fd00:1::3@n2"
        .to_owned(),
        told: "
shop/web:dns 10.96.0.1:53/udp [fd00:96::1]:53/udp 203.0.113.9:53/udp 198.51.100.3:53/udp => P 10.1.0.1:53 10.1.0.2:53 10.1.0.3:53 [fd00:1::1]:53 [fd00:1::2]:53 [fd00:1::3]:53 affinity=600
shop/web:http 10.96.0.1:80/tcp [fd00:96::1]:80/tcp 192.168.0.1:30080/tcp [fd00:a::1]:30080/tcp 203.0.113.9:80/tcp 198.51.100.3:80/tcp => P 10.1.0.1:8080 10.1.0.2:8080 10.1.0.3:8080 [fd00:1::1]:8080 [fd00:1::2]:8080 [fd00:1::3]:8080 affinity=600"
        .to_owned(),
    }
}

fn shared(case: Case) -> (WaveCluster, Vec<Placed>) {
    let cases = vec![Placed::new(1, case)];
    let mut shared = WaveCluster::new(&["--scope", "all", "--external-ips"], &cases);
    shared.apply(&cases, 0);
    shared.wait_for(&cases);
    (shared, cases)
}

/// Who answers a few dials of each port: always the same one.
fn all(client: &mut Client, told: &[Told]) -> Vec<String> {
    let one = |told: &Told| {
        let (socket, _): (SocketAddr, _) = told.frontends[0];
        let answered: BTreeSet<_> = answers(client, Dial::tcp(socket), 5).into_iter().collect();
        assert_eq!(answered.len(), 1, "{}: {answered:?}", told.service);
        answered.into_iter().next().expect("one")
    };
    told.iter().map(one).collect()
}

fn answers(client: &mut Client, dial: Dial, times: u32) -> Vec<String> {
    let dialled = client.dial(dial, times).expect("a dialer");
    let name = |one: Dialled| one.outcome.unwrap_or_else(|why| panic!("{dial:?}: {why:?}"));
    dialled.into_iter().map(name).collect()
}
