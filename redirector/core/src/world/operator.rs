//! What operators want: drains, forced tiers, and the end of both.

use super::World;
use crate::input::{Moment, Transition, Verb};

impl World {
    pub(super) fn ordered(&mut self, _verb: Verb, _now: Moment, _happened: &mut Vec<Transition>) {}
}
