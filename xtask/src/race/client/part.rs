//! What a client's process does: `race-part client LOAD ADDRESS…`.

use std::{
    io::{self, BufWriter, Read as _, Write as _},
    net::SocketAddr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::{Held, Load};
use crate::race::attempt::{Attempt, TIMEOUT};

/// Of a serial client, after each attempt: it shall be a client, not a load.
const PAUSE: Duration = Duration::from_millis(50);
/// Threads beyond those whose attempts may all take [`TIMEOUT`].
const SPARE: u64 = 32;
/// Of a thread; there are hundreds.
const STACK: usize = 128 << 10;

/// Makes attempts until the input ends; then prints them, one a line.
pub(in crate::race) fn play(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let load: Load = arguments.next().context("usage: client LOAD ADDRESS…")?.parse()?;
    let addresses: Vec<SocketAddr> =
        arguments.map(|text| text.parse()).collect::<Result<_, _>>().context("no address")?;
    ensure!(!addresses.is_empty(), "a client dials at least one address");
    let work = Work { load, addresses, ..Work::default() };
    thread::scope(|scope| {
        let started = (0..work.threads()).try_for_each(|number| {
            let (thread, work) = (thread::Builder::new().stack_size(STACK), &work);
            thread.spawn_scoped(scope, move || work.do_part(number)).map(drop)
        });
        if started.is_ok() {
            // The race closes it, or has ended.
            let _ = io::stdin().read_to_end(&mut Vec::new());
        }
        work.stop.store(true, Ordering::Relaxed);
        started
    })
    .context("no more threads")?;
    let mut out = BufWriter::new(io::stdout().lock());
    let lines = work.lines.into_inner().unwrap_or_else(PoisonError::into_inner);
    lines.iter().try_for_each(|line| writeln!(out, "{line}")).context("the race has ended")?;
    out.flush().context("the race has ended")
}

/// What all threads share.
struct Work {
    load: Load,
    addresses: Vec<SocketAddr>,
    begin: Instant,
    stop: AtomicBool,
    /// Attempts that were begun.
    tickets: AtomicU64,
    lines: Mutex<Vec<String>>,
}

impl Default for Work {
    fn default() -> Self {
        Self {
            load: Load::Serial,
            addresses: Vec::new(),
            begin: Instant::now(),
            stop: AtomicBool::new(false),
            tickets: AtomicU64::new(0),
            lines: Mutex::default(),
        }
    }
}

impl Work {
    /// An open loop never waits for a thread: there are as many as attempts can be under way.
    fn threads(&self) -> u64 {
        match self.load {
            Load::Open(rate) => u64::from(rate) * TIMEOUT.as_secs() + SPARE,
            Load::Serial => 1,
            Load::Closed(count) | Load::Held(count) => count.into(),
        }
    }

    fn do_part(&self, number: u64) {
        let lines = match self.load {
            Load::Held(_) => {
                Held::keep(self.address(number), &self.stop).line().into_iter().collect()
            }
            Load::Open(_) | Load::Serial | Load::Closed(_) => self.attempts(),
        };
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).extend(lines);
    }

    /// Takes a ticket, waits for its time, makes its attempt; until it is stopped.
    fn attempts(&self) -> Vec<String> {
        let mut made = Vec::new();
        loop {
            let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
            let due = match self.load {
                Load::Open(rate) => {
                    self.begin + Duration::from_secs_f64(ticket as f64 / f64::from(rate.max(1)))
                }
                Load::Serial => Instant::now() + PAUSE,
                Load::Closed(_) | Load::Held(_) => Instant::now(),
            };
            if !self.wait_until(due) {
                return made.iter().map(Attempt::line).collect();
            }
            made.push(Attempt::make(self.address(ticket)));
        }
    }

    /// Whether the client goes on by then. In one sleep: hundreds of threads that look after their
    /// end would be a load of their own, and a thread waits no longer than an attempt may take.
    fn wait_until(&self, due: Instant) -> bool {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        !self.stop.load(Ordering::Relaxed)
    }

    fn address(&self, ticket: u64) -> SocketAddr {
        self.addresses[ticket as usize % self.addresses.len()]
    }
}
