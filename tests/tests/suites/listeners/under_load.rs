//! A replica is killed while many connect, and nobody notices.

use std::{thread, time::Duration};

use redirector_tests::{
    dialer::{Client, ConnectPhase, Dial, Line, Load},
    server::Listen,
    size::sized,
};

use super::fixture::{Fixture, LOCAL, frontend4};

/// Connects per second.
const RATE: u32 = 2_000;
const KILLS: usize = 5;
/// Issue: "0 to 2 (those already in flight)".
const MOST_FAILED: usize = 2;
/// How long the load goes on before each kill, and after the last.
const AROUND: Duration = Duration::from_millis(600);
/// The programs decide alone from 5 s without an agent on.
const ALONE: Duration = Duration::from_secs(6);

#[test]
fn a_kill_at_2000_connects_per_second_fails_at_most_two() {
    let mut site = Fixture::new();
    let mut server = site.server(Listen::on(site.local4()));
    site.learn(frontend4());
    let dial = Dial { timeout_ms: 2_000, ..Dial::tcp(frontend4()) };
    let load = Load { dial, rate: RATE, threads: 32, duration_ms: None, every: false };
    let client = Client::start(site.client_place()).expect("a client");
    let run = client.load(load).expect("a load");

    let mut failed = Vec::new();
    let mut cut = 0;
    for _ in 0..KILLS {
        thread::sleep(AROUND);
        server.kill();
        site.assert_ejected(site.local4(), "a kill under load");
        thread::sleep(AROUND);
        let mut failures = 0;
        for line in run.lines.try_iter() {
            let Line::Dialled(dialled) = line else { continue };
            match dialled.outcome {
                Err(failure) if failure.phase == ConnectPhase::Connect => failures += 1,
                Err(_) => cut += 1,
                Ok(_) => {}
            }
        }
        failed.push(failures);
        server = site.server(Listen::on(site.local4()));
        site.assert_usable(site.local4(), "a new listener");
    }
    let (_, sums) = run.stop().expect("the end of a load");

    println!(
        "{KILLS} kills under {} connects, {} of them to the replica: {failed:?} connects failed, \
         and {cut} answers were cut off",
        sums.dials,
        sums.by.get(LOCAL).copied().unwrap_or(0),
    );
    assert!(failed.iter().all(|failures| *failures <= MOST_FAILED), "{failed:?}");
    let seconds = AROUND.as_secs_f64() * 2.0 * KILLS as f64;
    assert!(sums.dials as f64 >= 0.8 * seconds * f64::from(RATE), "only {} connects", sums.dials);
    site.finish();
}

/// What is under way when the listener ends may still be accepted, and is no sign of another one.
/// Of 150 kills 4 were undone by it, with 16 refused connects.
#[test]
fn what_was_under_way_to_a_killed_listener_does_not_bring_it_back() {
    let kills = sized(200, 30);
    let mut site = Fixture::new();
    let mut server = site.server(Listen::on(site.local4()));
    site.learn(frontend4());
    let dial = Dial { timeout_ms: 2_000, ..Dial::tcp(frontend4()) };
    let load = Load { dial, rate: RATE, threads: 32, duration_ms: None, every: false };
    let client = Client::start(site.client_place()).expect("a client");
    let run = client.load(load).expect("a load");
    thread::sleep(ALONE);

    for kill in 0..kills {
        server.kill();
        site.assert_ejected(site.local4(), &format!("kill {kill}"));
        server = site.server(Listen::on(site.local4()));
        site.assert_usable(site.local4(), "a new listener");
        thread::sleep(AROUND / 10);
    }
    run.stop().expect("the end of a load");
    site.finish();
}
