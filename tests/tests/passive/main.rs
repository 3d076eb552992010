//! Passive health: the kernel sees connects fail, ejects at once and bounds what swallows them, also
//! while the agent stands still or is dead.
#![expect(clippy::print_stdout, reason = "the test command shows what suites measure")]

mod all_down;
mod alone;
mod black_hole;
mod far;
mod hostile;
mod muted;
mod refused;
mod stage;
mod user_timeout;
