//! Performs the story: lets the events happen, follows the client, judges each act.

use std::{ops::Range, sync::mpsc::TryRecvError, thread, time::Duration};

use anyhow::{Result, bail};
use redirector_tests::dialer::{Line, LoadRun, now_us};

use super::{
    cluster::{Cast, ReplicaState},
    leave_up,
    screen::{Screen, View},
    script::{Act, Change},
    tally::{Dial, Outcome, judge},
    testbed::Testbed,
};
use crate::interrupts;

/// How long to let the client's reports gather before the screen is looked after.
const REPORT_WAIT: Duration = Duration::from_millis(50);
/// A visitor may stay for hours: so many dials are kept, and then half of them.
const MAX_DIALS: usize = 10_000;

/// A client under way and what became of it so far.
pub(super) struct Run {
    client: LoadRun,
    cast: &'static Cast,
    start: Duration,
    dials: Vec<Dial>,
    /// The acts that are over.
    spans: Vec<Span>,
    outcomes: Vec<Outcome>,
}

struct Span {
    act: &'static Act,
    /// The act's begin and its end, which is the next one's begin.
    time: Range<Duration>,
    states: Vec<ReplicaState>,
}

impl Run {
    /// Starts the client.
    pub(super) fn begin(testbed: &Testbed) -> Result<Self> {
        let client = testbed.start_client()?;
        Ok(Self {
            client,
            cast: testbed.cast,
            start: now(),
            dials: Vec::new(),
            spans: Vec::new(),
            outcomes: Vec::new(),
        })
    }

    /// Plays all acts; returns what came of each.
    pub(super) fn perform(
        &mut self,
        testbed: &mut Testbed,
        story: Vec<&'static Act>,
    ) -> Result<&[Outcome]> {
        let mut screen = Screen::open();
        let mut start = now();
        for act in story {
            let mut to_come = act.changes.iter().peekable();
            // The event is shown before its commands show what they print.
            screen.show(&self.view(testbed, act.event));
            while now() < start + act.lasts {
                interrupts::check()?;
                let is_due = |(ms, _): &&(u64, Change)| start + Duration::from_millis(*ms) <= now();
                while let Some((_, change)) = to_come.next_if(is_due) {
                    screen.print_output(&testbed.apply(*change)?);
                }
                self.receive()?;
                screen.show(&self.view(testbed, act.event));
            }
            let end = now();
            self.spans.push(Span { act, time: start..end, states: testbed.states() });
            self.judge();
            start = end;
        }
        self.receive_the_rest(start)?;
        self.judge();
        screen.show(&self.view(testbed, "the end"));
        Ok(&self.outcomes)
    }

    /// When another cluster served a connect for the first time, since the client began.
    pub(super) fn first_elsewhere(&self) -> Option<Duration> {
        let is_elsewhere = |who: usize| self.cast.tier(&self.cast.members[who]).zone.is_none();
        let elsewhere = self.dials.iter().filter(|dial| dial.outcome.is_ok_and(is_elsewhere));
        elsewhere.map(|dial| dial.ended - self.start).min()
    }

    /// Goes on without events, for a visitor who tries things. A terminal shows what they do.
    pub(super) fn go_on(&mut self, testbed: &Testbed) -> Result<()> {
        let mut screen = Screen::open();
        self.outcomes.clear();
        while !leave_up::is_over() {
            self.receive()?;
            if self.dials.len() > MAX_DIALS {
                self.dials.drain(..MAX_DIALS / 2);
            }
            if screen.is_table() {
                screen.show(&self.view(testbed, "it is your turn; Enter ends it"));
            }
        }
        Ok(())
    }

    /// Judges all acts again: some dials are reported a moment after the end of their act.
    fn judge(&mut self) {
        let Self { cast, spans, dials, .. } = self;
        self.outcomes = spans
            .iter()
            .map(|Span { act, time, states }| judge(cast, act, time, states, dials))
            .collect();
    }

    fn view<'a>(&'a self, testbed: &Testbed, event: &'a str) -> View<'a> {
        View {
            cast: self.cast,
            start: self.start,
            event,
            states: testbed.states(),
            dials: &self.dials,
            now: now(),
            outcomes: &self.outcomes,
        }
    }

    /// Receives until a dial is reported that has ended after `end`.
    fn receive_the_rest(&mut self, end: Duration) -> Result<()> {
        while self.dials.last().is_none_or(|dial| dial.ended <= end) {
            interrupts::check()?;
            self.receive()?;
        }
        Ok(())
    }

    /// Takes what the client has reported a moment later.
    fn receive(&mut self) -> Result<()> {
        thread::sleep(REPORT_WAIT);
        loop {
            match self.client.lines.try_recv() {
                Ok(Line::Dialled(dialled)) => self.dials.push(Dial::read(self.cast, &dialled)),
                Ok(_) => {}
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => bail!("the client has ended by itself"),
            }
        }
    }
}

/// The clock of the client's reports.
fn now() -> Duration {
    Duration::from_micros(now_us())
}
