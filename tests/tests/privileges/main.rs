//! Least privilege: who may load, an agent that may do nothing, and others who can open no pin.
#![expect(clippy::print_stdout, reason = "the test command shows what suites measure")]

mod check;
mod pins;
mod stage;
mod story;
mod without_perfmon;
