//! How long it takes to take 10,000 backends of a silent cluster out, and to bring them back:
//! `cargo run --release -p redirector-core --example silence [SERVICES [BACKENDS [NODES]]]`.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a measurement"
)]

#[path = "../tests/support/silent.rs"]
mod silent;

use std::time::{Duration, Instant};

use redirector_core::{Input, remote_cluster::ClusterPhase};

use self::silent::{World, seconds, told};

/// Rounds that are measured.
const ROUNDS: u64 = 30;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse().expect("a number"));
    let Some(services) = arguments.next() else {
        return [1, 100, 1_000].into_iter().for_each(|services| measure(services, 10_000, 500));
    };
    measure(services, arguments.next().unwrap_or(10_000), arguments.next().unwrap_or(500));
}

fn measure(services: u32, backends: u32, nodes: u32) {
    let mut world = World::new(services, backends, nodes);
    let mut times: Vec<[Duration; 4]> = Vec::new();
    for begin in (0..ROUNDS).map(|round| 1_000 * round) {
        world.answer(begin);
        world.silence(begin + 1);
        let (happened, judged) = timed(|| world.verdict(begin + 2));
        let (stores, planned) = timed(|| world.changes());
        let live = told(ClusterPhase::Live);
        let (_, back) = timed(|| world.state.apply(live, seconds(begin + 60)));
        let (_, back_planned) = timed(|| world.changes());
        times.push([judged, planned, back, back_planned]);
        if begin == 0 {
            let (happened, stores) = (happened.len(), stores.steps.len());
            println!(
                "{services} services with {backends} backends in west on {nodes} nodes: \
                 {happened} transitions, {stores} stores"
            );
        }
        // Holds end, and their tables are as before.
        for second in 60..200 {
            world.state.apply(Input::Tick, seconds(begin + second));
        }
        world.changes();
    }
    say("out: verdict and plan", times.iter().map(|of| of[0] + of[1]));
    say("     the verdict", times.iter().map(|of| of[0]));
    say("     its plan", times.iter().map(|of| of[1]));
    say("back: news and plan", times.iter().map(|of| of[2] + of[3]));
}

/// The best and the middle of all rounds: the machine may be busy.
fn say(what: &str, times: impl Iterator<Item = Duration>) {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    println!("{:>12.3?} best {:>12.3?} median  {what}", times[0], times[times.len() / 2]);
}

fn timed<T>(run: impl FnOnce() -> T) -> (T, Duration) {
    let begin = Instant::now();
    let result = run();
    (result, begin.elapsed())
}
