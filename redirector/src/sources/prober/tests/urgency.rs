//! Probes that are asked for at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use redirector_core::{
    input::ProbeOrder,
    service::{BackendRef, Probe},
};

use super::{
    FAST, REFUSED,
    loopback::{self, BlackHole, DEADLINE, Probes, accepting, at, connecting, eventually, failed},
};

/// No scheduled probe after the first one meets a test.
const RARE: Probe = Probe { interval_ms: 3_600_000, ..FAST };

fn order(backend: BackendRef, probe: &Probe, urgency: u32) -> (BackendRef, ProbeOrder) {
    (backend, loopback::order(probe.clone(), urgency))
}

#[tokio::test(flavor = "multi_thread")]
async fn another_number_is_one_probe_at_once() {
    let (asked, other) = (at(51, 1), at(51, 2));
    let orders = |urgency| [order(asked, &RARE, urgency), order(other, &RARE, 7)];
    let mut probes = Probes::ordered(orders(3), 8);
    for backend in [probes.next().await.0, probes.next().await.0] {
        assert!([asked, other].contains(&backend));
    }
    let mut slowest = Duration::ZERO;
    for urgency in [4, 2, 9, 10, 0, 1] {
        let begin = Instant::now();
        probes.order(orders(urgency));
        assert_eq!(probes.next().await, (asked, failed(REFUSED)));
        slowest = slowest.max(begin.elapsed());
        // The same number again asks for nothing.
        probes.order(orders(urgency));
    }
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    assert!(probes.is_quiet_for(Duration::from_millis(300)).await, "more than one probe each");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schedule_stays_as_it_is() {
    let backend = at(52, 1);
    let probe = Probe { interval_ms: 400, ..FAST };
    let mut probes = Probes::ordered([order(backend, &probe, 0)], 8);
    assert_eq!(probes.next().await, (backend, failed(REFUSED)));
    let begin = Instant::now();
    // An interval of urgent probes: were each of them to begin the interval anew, no scheduled one
    // would come.
    let (mut urgency, mut results) = (0, 0);
    while begin.elapsed() < Duration::from_millis(1_300) {
        urgency += 1;
        probes.order([order(backend, &probe, urgency)]);
        assert_eq!(probes.next().await, (backend, failed(REFUSED)));
        results += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
        while probes.inbox.try_recv().is_ok() {
            results += 1;
        }
    }
    let scheduled = results - urgency;
    assert!((2..=4).contains(&scheduled), "{scheduled} beside {urgency} urgent ones");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_backend_that_is_urgent_and_a_probe_of_another_kind_do_not_wait() {
    let mut probes = Probes::ordered([], 8);
    let mut waits = Vec::new();
    for host in 1..=20 {
        let begin = Instant::now();
        probes.order([order(at(53, host), &RARE, 1)]);
        probes.until(at(53, host), failed(REFUSED)).await;
        waits.push(begin.elapsed());
        let begin = Instant::now();
        let other = Probe { timeout_ms: 900, ..RARE };
        probes.order([order(at(53, host), &other, 2)]);
        probes.until(at(53, host), failed(REFUSED)).await;
        waits.push(begin.elapsed());
    }
    waits.sort();
    // Without urgency it would be half of the 100 ms over which first probes are spread.
    assert!(waits[waits.len() / 2] < Duration::from_millis(25), "{waits:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_urgent_probe_passes_those_that_wait_for_a_place() {
    const AT_ONCE: usize = 8;
    let stuck = Probe { timeout_ms: 60_000, ..RARE };
    let holes: Vec<_> = (1..=20).map(|host| at(54, host)).collect();
    let _holes: Vec<_> = holes.iter().map(|backend| BlackHole::new(*backend)).collect();
    let urgent = at(54, 100);
    let _listener = accepting(urgent);
    let all = |urgency| {
        let holes = holes.iter().map(|backend| order(*backend, &stuck, 0));
        holes.chain([order(urgent, &RARE, urgency)]).collect::<Vec<_>>()
    };
    let mut probes = Probes::ordered(all(1), AT_ONCE);
    assert_eq!(probes.next().await, (urgent, Ok(())));
    eventually(|| connecting(54) == AT_ONCE - 1, "every place but one is taken").await;
    for urgency in 2..6 {
        let begin = Instant::now();
        probes.order(all(urgency));
        assert_eq!(probes.next().await, (urgent, Ok(())));
        assert!(begin.elapsed() < DEADLINE / 4, "{:?}", begin.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn urgent_probes_of_one_owner_delay_none_of_another() {
    let stuck = Probe { timeout_ms: 60_000, ..RARE };
    let holes: Vec<_> = (1..=40).map(|host| at(56, host)).collect();
    let _holes: Vec<_> = holes.iter().map(|backend| BlackHole::new(*backend)).collect();
    let well = at(56, 100);
    let _listener = accepting(well);
    let mut evil: Vec<_> = holes.iter().map(|hole| order(*hole, &stuck, 1)).collect();
    evil.iter_mut().for_each(|(_, order)| order.owners = ["evil".into()].into());
    let mut probes = Probes::ordered(evil.into_iter().chain([order(well, &FAST, 0)]), 16);
    // Half of the 14 places that are not kept for urgent ones, and half of the 2 that are.
    eventually(|| connecting(56) == 7 + 1, "it has all that one owner gets").await;
    let begin = Instant::now();
    for _ in 0..20 {
        assert_eq!(probes.next().await, (well, Ok(())));
    }
    assert!(begin.elapsed() < DEADLINE / 4, "{:?}", begin.elapsed());
    assert!(connecting(56) <= 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn urgent_probes_are_no_more_at_once_than_others() {
    let count = Arc::new(AtomicUsize::new(0));
    let holes: Vec<_> = (1..=9).map(|host| at(55, host)).collect();
    let _holes: Vec<_> = holes.iter().map(|backend| BlackHole::new(*backend)).collect();
    let stuck = Probe { timeout_ms: 300, ..FAST };
    let mut probes = Probes::ordered(holes.iter().map(|hole| order(*hole, &stuck, 1)), 4);
    let begin = Instant::now();
    while count.load(Ordering::Relaxed) < 20 {
        assert!(begin.elapsed() < DEADLINE);
        assert!(connecting(55) <= 4);
        if probes.inbox.try_recv().is_ok() {
            let urgency = u32::try_from(count.fetch_add(1, Ordering::Relaxed)).expect("few") + 2;
            probes.order(holes.iter().map(|hole| order(*hole, &stuck, urgency)));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
