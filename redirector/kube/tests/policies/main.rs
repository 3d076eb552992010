//! Which policies are accepted, which of several holds, and what is said about each.

mod agree;
mod conflicts;
mod last_good;
mod random;
mod server;
mod statuses;
mod support;
