//! A server that a test tells when to listen: `server NAME`.

fn main() -> anyhow::Result<()> {
    redirector_tests::server::serve(std::env::args().skip(1))
}
