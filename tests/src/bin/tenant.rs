//! A process without rights: does what it is told on stdin, see `redirector_tests::tenant`.

fn main() -> anyhow::Result<()> {
    redirector_tests::tenant::serve()
}
