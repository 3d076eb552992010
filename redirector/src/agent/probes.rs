//! When the prober is told what to ask.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use redirector_core::Input;

use super::Agent;

/// How long what is probed may stay as it was after services have changed: to find out costs as
/// much as there are services, and the first probe of a backend waits as long.
const PATIENCE: Duration = Duration::from_millis(100);

/// What a piece of news may mean for what is probed, if nothing follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Nothing.
    Nothing,
    /// Backends come and go.
    Later,
    /// Somebody is asked for at once.
    Now,
}

impl Meaning {
    pub(super) fn of(input: &Input) -> Self {
        match input {
            Input::Probed { .. } => Self::Nothing,
            Input::Put(_) | Input::Remove(_) | Input::All(_) | Input::Used(_) => Self::Later,
            Input::Node(_)
            | Input::Replace(_)
            | Input::Restore(_)
            | Input::Kernel { .. }
            | Input::Operator(_)
            | Input::Tick => Self::Now,
        }
    }
}

impl Agent {
    /// Remembers when to look.
    pub(super) fn note_probes(&mut self, meaning: Meaning, has_happened: bool) {
        let now = Instant::now();
        let at = match meaning {
            _ if has_happened => now,
            Meaning::Nothing => return,
            Meaning::Later => self.looked_at_probes.map_or(now, |last| now.max(last + PATIENCE)),
            Meaning::Now => now,
        };
        self.look_at_probes = Some(self.look_at_probes.map_or(at, |earlier| earlier.min(at)));
    }

    /// Tells the prober what to ask, if that is due and has changed.
    pub(super) fn want_probes(&mut self) {
        let now = Instant::now();
        if self.look_at_probes.is_none_or(|at| now < at) {
            return;
        }
        self.look_at_probes = None;
        let wanted = tokio::task::block_in_place(|| self.world.probes());
        self.wanted.send_if_modified(|current| {
            let is_new = **current != wanted;
            if is_new {
                *current = Arc::new(wanted);
            }
            is_new
        });
        self.looked_at_probes = Some(Instant::now());
    }
}
