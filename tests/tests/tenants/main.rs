//! What one tenant can do to another: nothing by its word alone, and little with accomplices.
#![expect(clippy::print_stdout, reason = "the test command shows what suites measure")]

mod clusters;
mod flood;
mod hops;
mod listeners;
mod panic;
mod pods;
mod questions;
mod real;
mod resets;
mod services;
mod stage;
mod starvation;
mod success;
mod suspicion;
mod watch;
mod witnesses;
