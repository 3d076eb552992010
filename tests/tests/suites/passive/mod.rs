//! Passive health: the kernel sees connects fail, moves who sees it at once, and bounds what swallows
//! them, also while the agent stands still or is dead.

mod agentless;
mod all_down;
mod answers;
mod black_hole;
mod denied;
mod far;
mod fixture;
mod hostile;
mod hung;
mod hurry;
mod refused;
mod stolen;
mod unseen;
mod user_timeout;
