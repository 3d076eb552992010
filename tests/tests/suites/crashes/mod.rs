//! `load`, `unload` and the agent are killed before each call that changes something: connects do not
//! notice, and the next one makes good what they left.
#![cfg(target_arch = "x86_64")]

mod agent;
mod capacities;
mod change;
mod dials;
mod fixture;
mod lives;
mod loading;
mod points;
mod state;

/// The least number of crash points of each test, at CI size.
const FIRST_LOAD: usize = 70;
const OVER_A_LOAD: usize = 25;
const OTHER_LAYOUT: usize = 50;
const UNLOAD: usize = 50;
const FIRST_START: usize = 12;
const NEXT_START: usize = 5;
const _: () = assert!(
    FIRST_LOAD + OVER_A_LOAD + OTHER_LAYOUT + UNLOAD + FIRST_START + NEXT_START >= 200,
    "of load, unload and agent"
);
