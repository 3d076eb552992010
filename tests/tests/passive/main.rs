//! Passive health: the kernel sees connects fail, moves who sees it at once, and bounds what swallows
//! them, also while the agent stands still or is dead.
#![expect(clippy::print_stdout, reason = "the test command shows what suites measure")]

mod all_down;
mod alone;
mod black_hole;
mod denied;
mod far;
mod hostile;
mod refused;
mod stage;
mod stolen;
mod unseen;
mod user_timeout;
