//! Probes of real sockets on loopback, by TCP here. Each test has addresses of its own in
//! 127.0.0.0/8, so that none meets the ports of another.

mod grpc;
mod http;
mod loopback;
mod servers;

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, TcpListener},
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use redirector_core::{
    Input,
    input::ProbeFailure,
    service::{BackendRef, Probe, ProbeKind, Protocol},
};
use tokio::{sync::mpsc, time::timeout};

use super::report;

use self::loopback::{
    BlackHole, DEADLINE, PORT, Probes, accepting, at, connecting, eventually, failed, order,
    sockets,
};

const FAST: Probe = Probe {
    kind: ProbeKind::Tcp,
    port: None,
    interval_ms: 20,
    fast_interval_ms: 20,
    timeout_ms: 1_000,
    unhealthy: 2,
    healthy: 3,
};
const REFUSED: &str = "connection refused";

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_answers_again_and_again() {
    let backend = at(1, 1);
    let _listener = accepting(backend);
    let mut probes = Probes::start([(backend, FAST)], 8);
    for _ in 0..5 {
        assert_eq!(probes.next().await, (backend, Ok(())));
    }
    assert_eq!(probes.local_failures(), 0);
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stderr, reason = "a skip is said")]
async fn ipv6_is_probed_too() {
    let Ok(listener) = TcpListener::bind("[::1]:0") else {
        eprintln!("skipped: this machine has no IPv6 loopback");
        return;
    };
    let address = listener.local_addr().expect("its address");
    let backend =
        BackendRef { address: address.ip(), port: address.port(), protocol: Protocol::Tcp };
    let mut probes = Probes::start([(backend, FAST)], 8);
    assert_eq!(probes.next().await, (backend, Ok(())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_port_refuses() {
    let backend = at(2, 1);
    let mut probes = Probes::start([(backend, FAST)], 8);
    assert_eq!(probes.next().await, (backend, failed(REFUSED)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_black_hole_times_out() {
    let backend = at(3, 1);
    let _hole = BlackHole::new(backend);
    let begin = Instant::now();
    let mut probes = Probes::start([(backend, Probe { timeout_ms: 150, ..FAST })], 8);
    assert_eq!(probes.next().await, (backend, Err(ProbeFailure::TimedOut)));
    assert!(begin.elapsed() >= Duration::from_millis(150), "{:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_a_backend_is_seen() {
    let backend = at(4, 1);
    let listener = accepting(backend);
    let mut probes = Probes::start([(backend, FAST)], 8);
    probes.until(backend, Ok(())).await;
    drop(listener);
    probes.until(backend, failed(REFUSED)).await;
    let _listener = accepting(backend);
    probes.until(backend, Ok(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_set_is_followed() {
    let [first, second, never] =
        [at(5, 1), at(5, 2), BackendRef { protocol: Protocol::Udp, ..at(5, 3) }];
    let mut probes = Probes::start([(first, FAST), (never, FAST)], 8);
    probes.until(first, failed(REFUSED)).await;
    probes.want([(second, FAST), (never, FAST)]);
    probes.until(second, failed(REFUSED)).await;
    let mut late = 0;
    for _ in 0..10 {
        let (backend, _) = probes.next().await;
        assert!([first, second].contains(&backend), "{backend} is never to be asked");
        late += usize::from(backend == first);
    }
    assert!(late <= 1, "more than the probe that was under way: {late}");
    // Another way of asking the same backend takes effect at once, not after an hour.
    let slow = Probe { interval_ms: 3_600_000, ..FAST };
    probes.want([(second, slow.clone()), (first, slow)]);
    probes.until(first, failed(REFUSED)).await;
    probes.want([(first, FAST)]);
    for _ in 0..3 {
        probes.until(first, failed(REFUSED)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_urgent_probe_does_not_wait_for_its_interval() {
    let backend = at(51, 1);
    let rare = Probe { interval_ms: 3_600_000, ..FAST };
    let mut probes = Probes::start([(backend, rare.clone())], 8);
    for urgency in 1..6 {
        assert_eq!(probes.next().await, (backend, failed(REFUSED)));
        probes.order([(backend, order(rare.clone(), urgency))]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_than_allowed_are_under_way_and_waiting_is_no_failure() {
    const AT_ONCE: usize = 3;
    let holes: Vec<_> = (1..=9).map(|host| at(6, host)).collect();
    let _holes: Vec<_> = holes.iter().map(|backend| BlackHole::new(*backend)).collect();
    let slow = Probe { interval_ms: 100, timeout_ms: 100, ..FAST };
    let listening = at(6, 100);
    let _listener = accepting(listening);
    let wanted = holes.iter().map(|backend| (*backend, slow.clone())).chain([(listening, FAST)]);
    let mut probes = Probes::start(wanted, AT_ONCE);

    let (mut most, mut timed_out, mut answered) = (0, BTreeSet::new(), 0);
    let begin = Instant::now();
    while timed_out.len() < holes.len() || answered < 3 || most < AT_ONCE {
        assert!(begin.elapsed() < DEADLINE, "{most} {timed_out:?} {answered}");
        let under_way = connecting(6);
        assert!(under_way <= AT_ONCE, "{under_way} under way");
        most = most.max(under_way);
        while let Ok(Input::Probed { backend, outcome }) = probes.inbox.try_recv() {
            if backend == listening {
                assert_eq!(outcome, Ok(()), "the wait for a place was counted");
                answered += 1;
            } else {
                assert_eq!(outcome, Err(ProbeFailure::TimedOut));
                timed_out.insert(backend);
            }
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_this_machine_is_counted_and_not_reported() {
    // The kernel refuses to connect to the broadcast address; nothing is sent.
    let impossible =
        BackendRef { address: Ipv4Addr::BROADCAST.into(), port: PORT, protocol: Protocol::Tcp };
    let backend = at(7, 1);
    let mut probes = Probes::start([(impossible, FAST), (backend, FAST)], 8);
    let begin = Instant::now();
    while probes.local_failures() < 3 {
        assert!(begin.elapsed() < DEADLINE);
        assert_eq!(probes.next().await, (backend, failed(REFUSED)));
    }
    let counts = probes.local_failures.upgrade().expect("the prober runs").by_error();
    let errors: Vec<&str> = counts.keys().map(String::as_str).collect();
    // The latter where there is no route to it either.
    assert!(matches!(errors[..], ["EACCES" | "ENETUNREACH"]), "{errors:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_leaves_no_socket_behind() {
    let backend = at(8, 1);
    let _listener = accepting(backend);
    let mut probes = Probes::start([(backend, FAST)], 8);
    for _ in 0..5 {
        assert_eq!(probes.next().await, (backend, Ok(())));
    }
    drop(probes);
    // Without the reset they would wait for the backend's end for a minute.
    eventually(|| sockets(8).is_empty(), "no socket is left").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_prober_ends_every_probe() {
    let backend = at(9, 1);
    let _hole = BlackHole::new(backend);
    let probe = Probe { interval_ms: 60_000, fast_interval_ms: 60_000, timeout_ms: 60_000, ..FAST };
    let probes = Probes::start((1..=50).map(|host| (at(9, host), probe.clone())), 64);
    eventually(|| connecting(9) == 1, "the black hole is being probed").await;
    let tasks = Weak::clone(&probes.local_failures);
    eventually(|| tasks.strong_count() == 2, "the prober, and one probe").await;
    drop(probes);
    eventually(|| tasks.strong_count() == 0, "no task is left").await;
    eventually(|| connecting(9) == 0, "no socket is left").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_prober_ends_when_nobody_wants_or_hears_it() {
    let mut probes = Probes::start([(at(10, 1), FAST)], 8);
    assert_eq!(probes.next().await, (at(10, 1), failed(REFUSED)));
    drop(probes.wanted);
    let end = timeout(DEADLINE, probes.task.join_next()).await.expect("it ends");
    end.expect("one task").expect("without a panic");

    let mut probes = Probes::start([(at(10, 1), FAST)], 8);
    assert_eq!(probes.next().await, (at(10, 1), failed(REFUSED)));
    drop(probes.inbox);
    let end = timeout(DEADLINE, probes.task.join_next()).await.expect("it ends");
    end.expect("one task").expect("without a panic");
}

#[tokio::test]
async fn a_probe_under_way_takes_no_more_than_a_kibibyte() {
    let (results, _inbox) = mpsc::channel(1);
    let kind = ProbeKind::Http { path: "/".into(), host: None, status: (200, 399) };
    let asking = report(at(19, 1), Probe { kind, ..FAST }, results, Arc::default());
    let size = size_of_val(&asking);
    assert!(size <= 1_024, "{size} bytes");
}
