//! The agent fed by an API server: what it hears is what connections do.
#![expect(clippy::print_stdout, reason = "the test command shows what suites measure")]

mod events;
mod policies;
mod real;
mod rights;
mod stage;
mod story;
mod truth;
