//! Sockets of every kind, redirected and not: what they reach, what they show, what they are refused.

mod affinity;
mod cell;
mod dialogue;
mod fixture;
mod flows;
mod kinds;
mod matrix;
mod peer_name;
mod socket_slots;
mod socket_state;
mod sticky;
mod untouched;
