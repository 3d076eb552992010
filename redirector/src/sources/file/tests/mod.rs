//! Files that are refused, files that are used, and files that change.

mod bad_inputs;
mod good_inputs;
mod reloads;
mod repeated_names;
