//! The application of a test that uses one socket step by step, see `redirector_tests::script`.

fn main() -> anyhow::Result<()> {
    redirector_tests::script::serve()
}
