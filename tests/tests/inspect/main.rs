//! What an operator sees and is told: pins, maps by bpftool, status, errors, logs, the admin endpoint.

mod agree;
mod attached;
mod bpf;
mod foreign;
mod outputs;
mod pins;
mod refusals;
mod stage;
mod two_agents;
