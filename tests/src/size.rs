//! How much a test does: CI is content with less than what a statement promises.

use std::env;

/// The full size if `cargo xtask test --full` runs this, else what CI does.
pub fn sized<T>(full: T, ci: T) -> T {
    if env::var_os("REDIRECTOR_FULL").is_some() { full } else { ci }
}

/// Whether a test is too long for CI and this is no `--full` run: a skip is printed then.
#[expect(clippy::print_stdout, reason = "the report counts the skips that tests print")]
#[must_use]
pub fn is_left_to_full(test: &str) -> bool {
    let is_left = sized(false, true);
    if is_left {
        println!("SKIP {test}: too long for CI, `cargo xtask test --full` runs it");
    }
    is_left
}
