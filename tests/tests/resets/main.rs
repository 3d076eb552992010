//! Established connections to a lost backend are reset at once, and no other ones.
#![expect(clippy::print_stdout, reason = "the test command shows what suites measure")]

mod by_agent;
mod direct;
mod echo;
mod gone;
mod held;
mod pods;
mod reach;
mod redirected;
mod stage;
