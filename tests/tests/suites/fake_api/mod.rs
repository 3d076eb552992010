//! The fake API server is what it says: each of its semantics, asked by a plain client, and kubectl.

mod access;
mod accounts;
mod apply;
mod client;
mod faults;
mod kubectl;
mod lists;
mod many;
mod objects;
mod patches;
mod real;
mod tls;
mod versions;
mod watches;
