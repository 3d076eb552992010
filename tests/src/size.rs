//! How much a test does: CI is content with less than what a statement promises.

use std::env;

/// The full size if `cargo xtask test --full` runs this, else what CI does.
pub fn sized<T>(full: T, ci: T) -> T {
    if env::var_os("REDIRECTOR_FULL").is_some() { full } else { ci }
}
