//! The agent fed by an API server: what it hears is what connections do.

mod events;
pub(crate) mod fixture;
mod policies;
mod real;
mod rights;
mod story;
mod truth;
