//! The application of a test: dials what it is told on stdin, see `redirector_tests::dialer`.

fn main() -> anyhow::Result<()> {
    redirector_tests::dialer::serve()
}
