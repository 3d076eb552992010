//! Operators: drains, forced tiers and fail-backs follow at once, survive the agent, and can be
//! explained and tried out beforehand.

mod drains;
mod explained;
mod fixture;
mod force;
mod kept;
mod mistakes;
mod names;
mod ports;
mod stopped;
