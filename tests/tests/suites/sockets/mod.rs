//! Sockets of every kind, redirected and not: what they reach, what they show, what they are refused.

mod affinity;
mod cell;
mod dialogue;
mod fixture;
mod flows;
mod kinds;
mod matrix;
mod memory;
mod peer_name;
mod seats;
mod sticky;
mod untouched;
