//! What dials find: the words of the frontends, read where the kernel reads them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use aya::maps::MapData;
use redirector::datapath::Mapped;
use redirector_common::ServiceWord;
use redirector_tests::{
    cluster::Cluster,
    tables::{address, backends_of, services},
};
use serde_json::Value;

/// Between two looks: a tenth of what is measured at best, and no processor taken from the agent.
const LOOK: Duration = Duration::from_micros(100);

/// The pinned `SERVICES`.
#[derive(Debug)]
pub struct Kernel {
    words: Mapped<ServiceWord>,
    /// By name, with its namespace.
    indices: BTreeMap<String, u32>,
}

impl Kernel {
    /// As the tables stand.
    pub fn open(maps: &Path, dump: &Value) -> Self {
        let map = MapData::from_pin(maps.join("SERVICES")).expect("SERVICES is pinned");
        let words = Mapped::new("SERVICES", map.fd()).expect("SERVICES can be mapped");
        let indices = services(dump).map(|service| {
            let index = service["frontends"][0]["index"].as_u64().expect("a frontend");
            (text(&service["name"]), index as u32)
        });
        Self { words, indices: indices.collect() }
    }

    /// All words.
    pub fn words(&self) -> Vec<ServiceWord> {
        self.words.read_all()
    }

    /// Where the word of a Service is.
    pub fn index(&self, service: &str) -> usize {
        self.indices[service] as usize
    }

    /// When the word of a Service was another one than that.
    pub fn wait_for_another(&self, index: usize, old: ServiceWord, longest: Duration) -> Instant {
        let begun = Instant::now();
        loop {
            if self.words.read(index) != Some(old) {
                return Instant::now();
            }
            assert!(begun.elapsed() < longest, "the word of frontend {index} has not changed");
            thread::sleep(LOOK);
        }
    }
}

/// The backends of all Services, by name.
pub fn backends(dump: &Value) -> BTreeMap<String, BTreeSet<IpAddr>> {
    let backends = services(dump).map(|service| {
        let addresses = backends_of(service).map(|backend| address(backend).ip());
        (text(&service["name"]), addresses.collect())
    });
    backends.collect()
}

/// Waits until the tables hold exactly these.
pub fn wait_for(
    cluster: &Cluster,
    wanted: &BTreeMap<String, BTreeSet<IpAddr>>,
    longest: Duration,
) -> Value {
    let begun = Instant::now();
    loop {
        let dump = cluster.agent.dump();
        let held = backends(&dump);
        if held == *wanted {
            return dump;
        }
        if begun.elapsed() > longest {
            let wrong = wanted.iter().filter(|(name, of)| held.get(*name) != Some(of));
            let (count, first) = (wrong.clone().count(), wrong.clone().next());
            let found = first.and_then(|(name, _)| held.get(name));
            panic!("{count} services are wrong, first {first:?}, which has {found:?}");
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a name").to_owned()
}
