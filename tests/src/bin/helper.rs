//! What tests start as a process of its own: `helper ROLE ARGUMENT…`, see `redirector_tests::programs`.

fn main() -> anyhow::Result<std::process::ExitCode> {
    redirector_tests::programs::play(std::env::args().skip(1))
}
