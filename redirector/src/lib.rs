//! The node agent and its command line.
//!
//! Sources send news to one task (`agent`), which asks `redirector-core` what follows and has
//! `datapath` apply the plan in the kernel. `outputs` says what happened.

pub mod agent;
pub mod cli;
pub mod control;
pub mod datapath;
pub mod outputs;
mod quota;
mod serve;
pub mod sources;
