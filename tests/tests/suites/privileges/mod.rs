//! Least privilege: who may load, an agent that may do nothing, and others who can open no pin.

mod check;
mod fixture;
mod pins;
mod story;
mod without_perfmon;
