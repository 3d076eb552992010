//! The init of a test guest, process 1 on each kernel of the matrix, and the client it starts.

use std::process::ExitCode;

#[expect(clippy::print_stderr, reason = "the guest's console is all there is")]
fn main() -> ExitCode {
    match redirector_tests::vm::guest::run(std::env::args().nth(1).as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        // When it is process 1 that ends, the kernel panics and the host shows these words.
        Err(error) => {
            eprintln!("vm-init: {error:#}");
            ExitCode::FAILURE
        }
    }
}
