//! The agent fed by an API server: what it hears is what connections do.

mod events;
mod policies;
mod real;
mod rights;
mod stage;
mod story;
mod truth;
