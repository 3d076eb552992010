//! Which tiers of a service lost their traffic to others, and how far they are on their way back.
//!
//! The state in a window is a function of the state when the window began and of what holds
//! now: however the news of one window are ordered, the result is the same, and a tier that is
//! down for no time at all has not been down.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    loads::{Count, Formula},
    ramp::{RampStep, ramp_step},
};
use crate::{input::Moment, service::Failback};

/// Tiers of one service and address family that do not get what they are due, by name.
pub(crate) type Held = BTreeMap<Arc<str>, Hold>;

/// A tier that lost its traffic by ejection or probes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hold {
    /// Since when it has been well again; `None` is not yet.
    pub(crate) well_since: Option<Moment>,
    /// Percent of what it is due, once the hold-down is over.
    pub(crate) ramped: Option<u8>,
    /// When that changes by itself.
    pub(crate) next: Option<Moment>,
}

impl Hold {
    /// Percent of what the tier is due.
    pub(crate) fn allowed(&self) -> u8 {
        self.ramped.unwrap_or(0)
    }
}

/// What decides whether a tier is held: how it is, and how it was when the window began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TierHealth<'t> {
    pub(crate) name: &'t Arc<str>,
    /// Its backends, and how many are healthy.
    pub(crate) count: Count,
    /// `count` without drains: they are no failure and interrupt nothing.
    pub(crate) undrained: Count,
    /// Whether it carried load when the window began and was well then, and is not: by the ejections of
    /// this window.
    pub(crate) is_lost: bool,
}

/// The holds of now, from those when the window began.
///
/// In order, for each tier that has backends: one that is held and not well starts over; one that
/// is held and well moves on as [`ramp_step`] says; one that carried load, is not well, would be
/// without the ejections of this window, and whose load another one takes, is held. At last, when
/// no tier that is not held is well, those that are well wait no longer.
pub(crate) fn step(
    formula: &Formula,
    failback: &Failback,
    tiers: &[TierHealth<'_>],
    before: &Held,
    now: Moment,
) -> Held {
    let mut held = Held::new();
    for tier in tiers.iter().filter(|tier| tier.count.total > 0) {
        let is_well = formula.is_well(tier.undrained);
        let hold = match before.get(tier.name) {
            Some(hold) if is_well => moved_on(failback, hold, now),
            Some(_) => Some(Hold::default()),
            None => {
                let is_another = |other: &&TierHealth<'_>| other.name != tier.name;
                let mut others = tiers.iter().filter(is_another);
                (tier.is_lost && others.any(|other| formula.is_well(other.count)))
                    .then(Hold::default)
            }
        };
        if let Some(hold) = hold {
            held.insert(Arc::clone(tier.name), hold);
        }
    }
    let is_held = |tier: &TierHealth<'_>| held.contains_key(tier.name);
    if !tiers.iter().any(|tier| !is_held(tier) && formula.is_well(tier.count)) {
        for tier in tiers.iter().filter(|tier| formula.is_well(tier.count)) {
            held.remove(tier.name);
        }
    }
    held
}

/// A held tier that is well; `None` is back.
fn moved_on(failback: &Failback, hold: &Hold, now: Moment) -> Option<Hold> {
    let since = hold.well_since.unwrap_or(now);
    let at = |well_for| Some(Moment(since.0.saturating_add(well_for)));
    let (ramped, next) = match ramp_step(failback, now.0.saturating_sub(since.0)) {
        RampStep::Waiting(until) => (None, until.and_then(at)),
        RampStep::Ramping { percent, next } => (Some(percent), at(next)),
        RampStep::Back => return None,
    };
    Some(Hold { well_since: Some(since), ramped, next })
}
