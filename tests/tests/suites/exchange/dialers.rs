//! Loads at full speed, and what they come to.

use redirector_tests::{
    dialer::{Client, Dial, Dialled, Line, Load, LoadRun, Transport},
    place::Place,
};

/// A load under way.
pub(crate) struct Dialer {
    run: LoadRun,
    pub(crate) sums: Sums,
}

/// What a load has come to.
pub(crate) struct Sums {
    transport: Transport,
    pub(crate) dials: u64,
    pub(crate) failures: Vec<Dialled>,
}

/// Connects so far, over all loads.
pub(crate) fn connects(dialers: &mut [Dialer]) -> u64 {
    for Dialer { run, sums } in &mut *dialers {
        run.lines.try_iter().for_each(|line| sums.take(line));
    }
    dialers.iter().filter(|dialer| dialer.sums.connects()).map(|dialer| dialer.sums.dials).sum()
}

impl Dialer {
    /// Dials as fast as it can.
    pub(crate) fn start(place: Place<'_>, address: &str, transport: Transport) -> Self {
        let dial = Dial { transport, ..Dial::tcp(address.parse().expect("an address")) };
        let load = Load { dial, rate: u32::MAX, threads: 2, duration_ms: None, every: false };
        let run = Client::start(place).and_then(|client| client.load(load)).expect("a load");
        Self { run, sums: Sums { transport, dials: 0, failures: Vec::new() } }
    }

    /// Ends it; returns what it has come to.
    pub(crate) fn stop(self) -> Sums {
        let Self { run, mut sums } = self;
        let (lines, total) = run.stop().expect("the end of a load");
        lines.into_iter().for_each(|line| sums.take(line));
        Sums { dials: total.dials, ..sums }
    }
}

impl Sums {
    fn take(&mut self, line: Line) {
        match line {
            Line::Second(second) => self.dials += second.dials,
            Line::Dialled(dialled) => self.failures.push(dialled),
            Line::Ended(_) => {}
        }
    }

    /// Whether its dials are connects, not only sends.
    pub(crate) fn connects(&self) -> bool {
        self.transport != Transport::UdpUnconnected
    }
}
