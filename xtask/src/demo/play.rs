//! Performs the story: lets the events happen, follows the client, judges each act.

use std::{
    sync::mpsc::TryRecvError,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use redirector_tests::dialer::{Line, LoadRun, now_us};

use super::{
    cast::{MEMBERS, State},
    interrupts, keep,
    screen::{Screen, View},
    script::{Act, Change, story},
    stage::Stage,
    tally::{Dial, Outcome, judge, micros},
};

/// How long to let the client's reports gather before the screen is looked after.
const PATIENCE: Duration = Duration::from_millis(50);
/// A visitor may stay for hours: so many dials are kept, and then half of them.
const FORGOTTEN: usize = 10_000;

/// A client under way and what became of it so far.
pub(super) struct Play {
    client: LoadRun,
    start: Instant,
    dials: Vec<Dial>,
    /// The acts that are over.
    spans: Vec<Span>,
    outcomes: Vec<Outcome>,
}

struct Span {
    act: &'static Act,
    /// The act's begin and its end, which is the next one's begin.
    us: (u64, u64),
    states: [State; MEMBERS.len()],
}

impl Play {
    /// Starts the client.
    pub(super) fn begin(stage: &Stage) -> Result<Self> {
        let client = stage.start_client()?;
        let start = Instant::now();
        Ok(Self { client, start, dials: Vec::new(), spans: Vec::new(), outcomes: Vec::new() })
    }

    /// Plays all acts. False: interrupted.
    pub(super) fn perform(&mut self, stage: &mut Stage) -> Result<bool> {
        let mut screen = Screen::open();
        let mut start_us = now_us();
        for act in story(stage.api.is_some()) {
            let mut to_come = act.changes.iter().peekable();
            // The event is shown before its commands show what they print.
            screen.show(&self.view(stage, act.event));
            while now_us() < start_us + micros(act.lasts) {
                if interrupts::came() {
                    return Ok(false);
                }
                let is_due = |(ms, _): &&(u64, Change)| start_us + ms * 1_000 <= now_us();
                while let Some((_, change)) = to_come.next_if(is_due) {
                    screen.say(&stage.apply(*change)?);
                }
                self.receive()?;
                screen.show(&self.view(stage, act.event));
            }
            let end_us = now_us();
            self.spans.push(Span { act, us: (start_us, end_us), states: stage.states() });
            self.judge();
            start_us = end_us;
        }
        self.receive_the_rest(start_us)?;
        self.judge();
        screen.show(&self.view(stage, "the end"));
        Ok(true)
    }

    /// Goes on without events, for a visitor who tries things. A terminal shows what they do.
    pub(super) fn go_on(&mut self, stage: &Stage) -> Result<()> {
        let mut screen = Screen::open();
        self.outcomes.clear();
        while !keep::is_over() {
            self.receive()?;
            if self.dials.len() > FORGOTTEN {
                self.dials.drain(..FORGOTTEN / 2);
            }
            if screen.is_table() {
                screen.show(&self.view(stage, "it is your turn; Enter ends it"));
            }
        }
        Ok(())
    }

    pub(super) fn outcomes(&self) -> &[Outcome] {
        &self.outcomes
    }

    /// Judges all acts again: some dials are reported a moment after the end of their act.
    fn judge(&mut self) {
        let Self { spans, dials, .. } = self;
        self.outcomes =
            spans.iter().map(|Span { act, us, states }| judge(act, *us, states, dials)).collect();
    }

    fn view<'a>(&'a self, stage: &Stage, event: &'a str) -> View<'a> {
        View {
            elapsed: self.start.elapsed(),
            event,
            states: stage.states(),
            dials: &self.dials,
            now_us: now_us(),
            outcomes: &self.outcomes,
        }
    }

    /// Receives until a dial is reported that has ended after `end_us`.
    fn receive_the_rest(&mut self, end_us: u64) -> Result<()> {
        while self.dials.last().is_none_or(|dial| dial.ended_us <= end_us) && !interrupts::came() {
            self.receive()?;
        }
        Ok(())
    }

    /// Takes what the client has reported a moment later.
    fn receive(&mut self) -> Result<()> {
        thread::sleep(PATIENCE);
        loop {
            match self.client.lines.try_recv() {
                Ok(Line::Dialled(dialled)) => self.dials.push((&dialled).into()),
                Ok(_) => {}
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => bail!("the client has ended by itself"),
            }
        }
    }
}
