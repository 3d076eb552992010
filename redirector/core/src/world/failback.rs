//! When a tier that lost its traffic gets it back.

use super::World;
use crate::input::{Moment, Transition};

impl World {
    pub(super) fn failback_pass(&mut self, _now: Moment, _happened: &mut Vec<Transition>) {}

    pub(super) fn failback_deadline(&self) -> Option<Moment> {
        None
    }
}
