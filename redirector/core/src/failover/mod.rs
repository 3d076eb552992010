//! Which tier carries how much: membership, loads by health, and the way back after a failover.
//!
//! Pure functions of what they are given; [`State`](crate::State) keeps what they need.

pub(crate) mod blend;
pub(crate) mod holds;
pub mod loads;
pub(crate) mod ramp;
pub(crate) mod tiers;
pub mod vacancies;
