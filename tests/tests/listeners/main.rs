//! The death of a local listener: ejected at once by the kernel alone, and back with a new one.
#![expect(clippy::print_stdout, reason = "the test command shows what suites measure")]

mod addresses;
mod deaths;
mod flapping;
mod index;
mod older;
mod stage;
mod under_load;
