//! The guard's half: starts the dialling process, gives it orders and reads what it reports.

use std::{
    process::ChildStdin,
    sync::mpsc::{self, Receiver},
    thread,
};

use anyhow::{Result, bail};

use super::{Dial, Dialled, Line, Load, Order, Second};
use crate::{
    place::{Place, Process},
    programs::{self, Role},
    worker::{Worker, parse, write_line},
};

/// A dialling process. Dropping it kills the process.
#[derive(Debug)]
pub struct Client(Worker);

/// A load under way in a process of its own. Dropping it kills the process.
#[derive(Debug)]
pub struct LoadRun {
    /// Everything it reports, as it comes; ends after `Line::Ended`.
    pub lines: Receiver<Line>,
    process: Process,
    orders: ChildStdin,
}

impl Client {
    /// Starts one. In the place's cgroup its dials are redirected.
    pub fn start(place: Place<'_>) -> Result<Self> {
        Worker::start(place, programs::command(Role::Dialer)?).map(Self)
    }

    /// Its process, for example to move it into another cgroup.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// Dials `times` times, one after the other.
    pub fn dial(&mut self, dial: Dial, times: u32) -> Result<Vec<Dialled>> {
        self.0.tell(&Order::Dial(dial, times))?;
        let mut all = Vec::new();
        for _ in 0..times {
            let Line::Dialled(dialled) = self.0.reply()? else {
                bail!("the dialer reports a load that no test has ordered");
            };
            all.push(dialled);
        }
        Ok(all)
    }

    /// Starts a load. Its reports come through a channel while the caller does other things.
    pub fn load(mut self, load: Load) -> Result<LoadRun> {
        self.0.tell(&Order::Load(load))?;
        let Worker { process, orders, replies } = self.0;
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            // Ends with the process. What it cannot read, the receiver misses as `Ended`.
            for line in replies.map_while(Result::ok).map_while(|text| parse(&text).ok()) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(LoadRun { lines, process, orders })
    }
}

impl LoadRun {
    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// Ends the load and returns what was not received yet, and the sums over all of it.
    pub fn stop(mut self) -> Result<(Vec<Line>, Second)> {
        write_line(&mut self.orders, &Order::Stop)?;
        self.wait()
    }

    /// Ends the load and returns what it has reported, in the order in which the dials began.
    pub fn dialled(self) -> Result<Vec<Dialled>> {
        let (lines, _) = self.stop()?;
        let mut dialled: Vec<_> = lines.into_iter().filter_map(Line::dialled).collect();
        dialled.sort_by_key(|dialled| dialled.at_us);
        Ok(dialled)
    }

    /// Waits for the end of a load with a duration; returns as `stop` does.
    pub fn wait(self) -> Result<(Vec<Line>, Second)> {
        let mut lines = Vec::new();
        for line in &self.lines {
            match line {
                Line::Ended(sums) => return Ok((lines, sums)),
                line => lines.push(line),
            }
        }
        bail!("the dialer ended before its load; see its error above")
    }
}
