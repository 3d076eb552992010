//! What an operator sees and is told: pins, maps by bpftool, status, errors, logs, the admin endpoint.
#![expect(clippy::print_stdout, reason = "the test command shows what suites measure")]

mod agree;
mod attached;
mod bpf;
mod descriptors;
mod flood;
mod foreign;
mod impostors;
mod outputs;
mod pins;
mod refusals;
mod stage;
mod two_agents;
