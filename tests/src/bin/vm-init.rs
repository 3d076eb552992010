//! The init of a test guest: process 1 on each kernel of the matrix.

use std::process::ExitCode;

#[expect(clippy::print_stderr, reason = "the guest's console is all there is")]
fn main() -> ExitCode {
    match redirector_tests::vm::guest::run() {
        Ok(()) => ExitCode::SUCCESS,
        // Process 1 ends, the kernel panics, and the host shows these words.
        Err(error) => {
            eprintln!("vm-init: {error:#}");
            ExitCode::FAILURE
        }
    }
}
