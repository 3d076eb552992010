//! What the dialling process does: obeys orders from stdin and reports on stdout.

use std::{
    io::{self, BufRead as _, Write as _},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::{Dialled, Line, Load, Order, Second, dial::dial};
use crate::worker::write_line;

const SECOND: Duration = Duration::from_secs(1);
/// How soon a waiting thread of a load notices that it shall stop.
const LONGEST_WAIT: Duration = Duration::from_millis(20);

/// The process `dialer`. Ends with its input.
pub fn serve() -> Result<()> {
    let (orders, inbox) = mpsc::channel();
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if orders.send(serde_json::from_str(&line)).is_err() {
                return;
            }
        }
    });
    while let Ok(order) = inbox.recv() {
        match order.context("an order that is none")? {
            Order::Dial(what, times) => {
                let mut out = io::BufWriter::new(io::stdout().lock());
                for _ in 0..times {
                    write_line(&mut out, &Line::Dialled(dial(&what)))?;
                }
                out.flush()?;
            }
            Order::Load(load) => run(load, &inbox)?,
            // The load has ended by itself in the meantime.
            Order::Stop => {}
        }
    }
    Ok(())
}

type Inbox = Receiver<serde_json::Result<Order>>;

/// Runs a load to its end. Any order or the end of the input stops it.
fn run(load: Load, inbox: &Inbox) -> Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    let tickets = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let (results, dialled) = mpsc::channel();
    for _ in 0..load.threads.max(1) {
        let (stop, tickets, results) = (Arc::clone(&stop), Arc::clone(&tickets), results.clone());
        thread::spawn(move || dial_until(&stop, start, &tickets, load, &results));
    }
    drop(results);
    let end = load.duration_ms.map(|duration| start + Duration::from_millis(duration));
    let mut report = Report { every: load.every, ..Report::default() };
    loop {
        let is_over = end.is_some_and(|end| Instant::now() >= end);
        if is_over || !matches!(inbox.try_recv(), Err(mpsc::TryRecvError::Empty)) {
            stop.store(true, Ordering::Relaxed);
        }
        match dialled.recv_timeout(LONGEST_WAIT) {
            Ok(one) => report.dialled(one)?,
            Err(RecvTimeoutError::Timeout) => {}
            // The last thread has stopped.
            Err(RecvTimeoutError::Disconnected) => return report.end(),
        }
        if start.elapsed() >= SECOND * (u32::try_from(report.second.number)? + 1) {
            report.next_second()?;
        }
    }
}

/// One thread of a load: draws a ticket, waits for its time, dials.
fn dial_until(
    stop: &AtomicBool,
    start: Instant,
    tickets: &AtomicU64,
    load: Load,
    results: &Sender<Dialled>,
) {
    loop {
        let ticket = tickets.fetch_add(1, Ordering::Relaxed);
        let due = start + Duration::from_secs_f64(ticket as f64 / f64::from(load.rate.max(1)));
        while !stop.load(Ordering::Relaxed) {
            let wait = due.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                break;
            }
            thread::sleep(wait.min(LONGEST_WAIT));
        }
        if stop.load(Ordering::Relaxed) || results.send(dial(&load.dial)).is_err() {
            return;
        }
    }
}

#[derive(Debug, Default)]
struct Report {
    every: bool,
    second: Second,
    all: Second,
}

impl Report {
    fn dialled(&mut self, dialled: Dialled) -> Result<()> {
        self.second.count(&dialled);
        if self.every || dialled.outcome.is_err() {
            write_line(&mut io::stdout(), &Line::Dialled(dialled))?;
        }
        Ok(())
    }

    fn next_second(&mut self) -> Result<()> {
        self.all.add(&self.second);
        let next = Second { number: self.second.number + 1, ..Second::default() };
        let second = std::mem::replace(&mut self.second, next);
        write_line(&mut io::stdout(), &Line::Second(second))
    }

    fn end(mut self) -> Result<()> {
        self.next_second()?;
        write_line(&mut io::stdout(), &Line::Ended(self.all))
    }
}
