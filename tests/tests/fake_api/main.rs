//! The fake API server is what it says: each of its semantics, asked by a plain client, and kubectl.
#![expect(clippy::print_stdout, reason = "the test command shows what suites measure")]

mod access;
mod apply;
mod client;
mod faults;
mod kubectl;
mod lists;
mod objects;
mod patches;
mod real;
mod scale;
mod tls;
mod watches;
