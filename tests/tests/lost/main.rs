//! Pins and programs that go while the agent runs: it says so within a sweep, and nobody has to come.
#![expect(clippy::print_stdout, reason = "the test command shows what suites measure")]

mod powerless;
mod privileged;
mod stage;
