//! What is wrong with one backend, or was not long ago.

use std::{sync::Arc, time::Duration};

use redirector_common::{HealthByte, HealthWord};

use crate::input::Moment;

/// Nothing, until something happens.
#[derive(Clone, Debug, Default)]
pub(super) struct Trouble {
    /// Its probes fail.
    pub(super) prober: Option<Failing>,
    /// Its node is silent.
    pub(super) is_node_silent: bool,
    /// The kernel saw its connects fail.
    pub(super) passive: Option<Passive>,
    /// Its local listener is gone.
    pub(super) is_unheard: bool,
    /// When its ejections in a row are forgotten: it is well again.
    pub(super) forgive: Option<Moment>,
    /// When the kernel was last asked to re-admit it: news of an earlier ejection may cross that.
    pub(super) readmitted: Option<Moment>,
    /// Asks for a probe at once when it changes; 0 is not yet.
    pub(super) urgency: u32,
    /// Its established sockets have been destroyed.
    pub(super) is_reset: bool,
    /// [`next`](Self::next), as the timers have it.
    pub(super) due: Option<Moment>,
}

/// An ejection by probes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failing {
    /// Nobody answered, not even to refuse.
    pub(super) is_silent: bool,
}

/// An ejection by the kernel.
#[derive(Clone, Debug)]
pub(super) struct Passive {
    /// Before, only a first ejection may end.
    pub(super) until: Moment,
    /// `until` has passed.
    pub(super) is_served: bool,
    /// In a row, this one included.
    pub(super) ejections: u32,
    /// Connects were refused; else they were not answered.
    pub(super) is_refused: bool,
    /// The only client that saw it, as long as no probe has failed too: then it is provisional.
    pub(super) witness: Option<u64>,
    /// Probes that succeeded in a row since.
    pub(super) successes: u8,
    /// How long it must be well before its ejections are forgotten.
    pub(super) forgiven_after: Duration,
}

impl Trouble {
    /// The next moment at which time alone changes something.
    pub(super) fn next(&self) -> Option<Moment> {
        let trial = self.passive.as_ref().filter(|passive| !passive.is_served);
        trial.map(|passive| passive.until).into_iter().chain(self.forgive).min()
    }

    /// Whether there is nothing left to remember.
    pub(super) fn is_over(&self) -> bool {
        !self.is_objected() && self.forgive.is_none()
    }

    /// Whether anybody objects.
    pub(super) fn is_objected(&self) -> bool {
        !self.word().is_usable()
    }

    /// The bytes that object.
    pub(super) fn word(&self) -> HealthWord {
        let prober = self.prober.is_some() || self.is_node_silent;
        HealthWord::new(0)
            .with(HealthByte::Prober, prober.into())
            .with(HealthByte::Passive, self.passive.is_some().into())
            .with(HealthByte::Listener, self.is_unheard.into())
    }

    /// Whether it was lost without a word: nobody refused, and more than one client saw it.
    pub(super) fn is_silent(&self) -> bool {
        let by_kernel = |passive: &Passive| !passive.is_refused && passive.witness.is_none();
        self.prober.as_ref().is_some_and(|failing| failing.is_silent)
            || self.passive.as_ref().is_some_and(by_kernel)
    }

    /// Whether it answers, if only to refuse: a death that was announced.
    pub(super) fn is_refusing(&self) -> bool {
        self.is_unheard
            || self.prober.as_ref().is_some_and(|failing| !failing.is_silent)
            || self.passive.as_ref().is_some_and(|passive| passive.is_refused)
    }
}

impl Passive {
    /// For people.
    pub(super) fn why(&self) -> Arc<str> {
        match (self.witness.is_some(), self.is_refused) {
            (false, true) => "connects were refused",
            (false, false) => "connects were not answered",
            (true, true) => "connects of one client were refused",
            (true, false) => "connects of one client were not answered",
        }
        .into()
    }
}

/// Why the kernel objects when the last local listener closes.
pub(super) const NO_LISTENER: &str = "nobody listens there any more";
