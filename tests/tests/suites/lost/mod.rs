//! Pins and programs that go while the agent runs: it says so within a sweep, and nobody has to come.

mod fixture;
mod powerless;
mod privileged;
