//! The suites, in one binary: each links the whole product.
//!
//! A suite is a module here. `cargo xtask test NAME` runs the tests of one by its name, so no module
//! below a suite is called as another suite. The first line of a suite says what it is about.
#![expect(clippy::print_stdout, reason = "the test command shows what suites measure")]

mod agent_guard;
mod clients;
mod common;
mod conformance;
mod crashes;
mod deploy;
mod exchange;
mod fake_api;
mod fleet;
mod guards;
mod inspect;
mod join;
mod kernels;
mod kube;
mod listeners;
mod loads;
mod lost;
mod mcs;
mod operator;
mod outages;
mod passive;
mod privileges;
mod resets;
mod restart;
mod scale;
mod sockets;
mod tenants;
mod torn;
mod upgrade;
