//! What several suites need of the product in their own process.

pub(crate) mod bpf;
pub(crate) mod foreign;
pub(crate) mod obedient;
pub(crate) mod objects;

use redirector::datapath::{Counters, Options, Pins, SEATS};
use redirector_core::plan::Capacities;
use redirector_tests::fixture::Site;

/// One of the kernel's counters, read from the pins.
pub(crate) fn counter(site: &Site, name: &str) -> u64 {
    let pins = Pins::new(site.bpffs.pin_path());
    let all = Counters::open(&pins).and_then(|counters| counters.named());
    let found = all.expect("the counters").into_iter().find(|(counter, _)| counter == name);
    found.unwrap_or_else(|| panic!("no counter {name}")).1
}

/// As the agent loads by default, but for the capacities.
pub(crate) fn load_options(capacities: Capacities) -> Options {
    Options {
        capacities,
        remember_tcp: true,
        remember_udp: true,
        client_level: 0,
        seats: SEATS,
        owner: None,
    }
}
