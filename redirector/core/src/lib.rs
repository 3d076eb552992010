//! What Redirector decides: which backends exist, which are healthy, which carry traffic, and
//! which stores bring the kernel there.
//!
//! Nothing here does I/O, reads a clock, draws a random number or iterates in hash order: news
//! and time come in as [`Input`] and [`Moment`], decisions go out as [`Transition`]s, [`Tables`]
//! and [`Plan`](plan::Plan)s. The same inputs give the same bytes.

#[cfg(test)]
extern crate self as redirector_core;

pub mod address;
mod compile;
pub mod explain;
pub mod failover;
pub mod health;
pub mod identity;
pub mod input;
pub mod locality;
pub mod plan;
pub mod remote_cluster;
pub mod service;
pub mod state;
pub mod tables;
pub mod text;

#[cfg(test)]
#[path = "../tests/support/by_name.rs"]
mod by_name;

pub use input::{Command, Input, Moment, Transition};
pub use state::State;
pub use tables::Tables;
