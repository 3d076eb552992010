//! The process `crasher`.

fn main() -> anyhow::Result<std::process::ExitCode> {
    redirector_tests::crash::trace()
}
