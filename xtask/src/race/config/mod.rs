//! What each contender is told: the agent's file, rules, configurations of proxies. All of them
//! prefer the clients' zone, but for the rules, which know no zones.

pub(super) mod agent;
pub(super) mod envoy;
pub(super) mod haproxy;
pub(super) mod rules;
