//! `redirector cluster`: joining, inviting, leaving, listing and checking other clusters, as processes
//! against fake API servers.

mod account;
mod checks;
mod fixture;
mod interrupted;
mod invitations;
mod joins;
mod leaves;
mod lists;
mod mistakes;
mod two_commands;
mod well;
