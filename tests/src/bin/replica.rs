//! A replica of a service: `replica NAME ADDRESS…` answers with its name.

fn main() -> anyhow::Result<()> {
    redirector_tests::replica::serve(std::env::args().skip(1))
}
