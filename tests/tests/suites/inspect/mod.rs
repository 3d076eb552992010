//! What an operator sees and is told: pins, maps by bpftool, status, errors, logs, the admin endpoint.

mod agree;
mod descriptors;
mod fixture;
mod flood;
mod impostors;
mod outputs;
mod pins;
mod refusals;
mod two_agents;
