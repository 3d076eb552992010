//! What one tenant can do to another: nothing by its word alone, and little with accomplices.

mod closed;
mod clusters;
mod fixture;
mod flood;
mod held;
mod hops;
mod panic;
mod pods;
mod questions;
mod real;
mod services;
mod silence;
mod starvation;
mod success;
mod suspicion;
mod watch;
mod witnesses;
