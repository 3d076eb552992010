//! Real clients dial Services while a replica is killed, drained, replaced, or swallows what it gets:
//! nothing is lost but what README.md, "Limits, plainly", says.

mod dials;
mod faults;
mod fixture;
mod kinds;
mod limits;
mod pod;
mod replica;
mod report;
mod services;
mod tools;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use redirector_tests::size::sized;

use self::{faults::Fault, fixture::Fixture, report::Row};

/// Before a fault, and after it.
const BEFORE: Duration = Duration::from_millis(1_500);

#[test]
fn real_clients_lose_nothing_but_what_limits_says() {
    let after = sized(Duration::from_secs(30), Duration::from_secs(6));
    let with_settings = sized(&kinds::WITH_SETTINGS[..], &[]);
    let clients = tools::available(kinds::CLIENTS.iter().chain(with_settings));
    let start = Instant::now();
    let site = fixture::site(clients.len() * 2);
    let mut fixture = Fixture::new(&site);
    let pods = pod::all(&clients, &site);
    let started = start.elapsed();
    let is_over = AtomicBool::new(false);
    let (dials, windows) = thread::scope(|scope| {
        let drivers: Vec<_> =
            pods.iter().map(|pod| scope.spawn(|| dials::make(pod, &is_over))).collect();
        // The drivers end also when this fails.
        let over = Over(&is_over);
        let windows =
            Fault::ALL.map(|fault| faults::happen(fault, &mut fixture, &pods, BEFORE, after));
        drop(over);
        let join = |driver: thread::ScopedJoinHandle<'_, _>| driver.join().expect("a driver");
        (drivers.into_iter().map(join).collect::<Vec<_>>(), windows)
    });
    let rows: Vec<Row> = clients
        .iter()
        .zip(dials.chunks(2))
        .map(|(client, dials)| Row::new(client, dials, &windows))
        .collect();
    report::print(&rows);
    report::judge(&rows);
    println!("{started:.1?} to start, {:.1?} in all", start.elapsed());
    drop(pods);
    fixture.agent.finish().expect("an agent that logs no error");
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
