//! How a client gets past the backends that it avoids, however many those are.

use redirector_common::{
    ALWAYS, AllDown, Entry, Header, HealthWord, MAX_TIERS, NO_NODE, NodeWord, RANGES, Reason,
    ServiceWord, TierRange,
};
use redirector_ebpf::{Choice, Tables, Walk, sample_but, scan_but, service};

/// Programs that can call each other in a row: the kernel stops at 33.
const PROGRAMS: usize = 33;

/// The tables of one service, whose first tier is due all load.
struct Table {
    header: Header,
    ranges: Vec<TierRange>,
    entries: Vec<Entry>,
}

impl Table {
    fn new(tiers: &[u32]) -> Self {
        let (mut ranges, mut entries) = (Vec::new(), Vec::new());
        let first = RANGES + MAX_TIERS as u32;
        for length in tiers {
            ranges.push(TierRange {
                start: first + entries.len() as u32,
                length: *length,
                _pad: [0; 2],
            });
            for _ in 0..*length {
                let backend = entries.len() as u32;
                let place = (NO_NODE, 0, ALWAYS, 80, [10, 0, 0, 1]);
                let (node, alias, probability, port, address) = place;
                entries.push(Entry { backend, node, alias, probability, port, address });
            }
        }
        let flags = AllDown::Panic.number();
        let tiers = tiers.len() as u8;
        let header = Header { loads: [100; MAX_TIERS], service: 1, epoch: 0, tiers, flags };
        Self { header, ranges, entries }
    }

    /// Where a client goes that avoids these backends; `None` if it is sent to one of them.
    fn past(&self, seed: u32, avoids: impl Fn(u32) -> bool) -> Option<u32> {
        let service = service(self, 0).expect("a service");
        let avoids = |backend, _| Some(u64::from(avoids(backend)));
        let of = |choice: Choice<'_>| Some(choice.entry.backend);
        if let Ok(choice) = sample_but(self, &service, seed, avoids) {
            return of(choice);
        }
        let mut walk = Walk::BEGIN;
        for _ in 0..PROGRAMS - 4 {
            match scan_but(self, &service, seed, &mut walk, avoids) {
                Ok(choice) => return of(choice),
                Err(Reason::Avoided) => {}
                Err(reason) => {
                    assert_eq!(reason, Reason::AvoidsAll);
                    return None;
                }
            }
        }
        panic!("more programs than the kernel runs");
    }
}

impl Tables for Table {
    fn word(&self, _: u32) -> Option<ServiceWord> {
        Some(ServiceWord::new(1, 0))
    }
    fn header(&self, _: u32) -> Option<&Header> {
        Some(&self.header)
    }
    fn range(&self, slot: u32) -> Option<&TierRange> {
        self.ranges.get((slot - 1 - RANGES) as usize)
    }
    fn entry(&self, slot: u32) -> Option<&Entry> {
        self.entries.get((slot - 1 - RANGES - MAX_TIERS as u32) as usize)
    }
    fn health(&self, _: u32) -> Option<HealthWord> {
        Some(HealthWord::new(1))
    }
    fn node(&self, _: u16) -> Option<NodeWord> {
        Some(NodeWord::default())
    }
}

#[test]
fn a_client_that_avoids_a_whole_tier_is_served_by_the_next_one() {
    for near in [1, 16, 40, 100, 127, 129, 200, 1_000] {
        let table = Table::new(&[near, 2]);
        for seed in 0..200 {
            let chosen = table.past(seed, |backend| backend < near);
            assert!(chosen.is_some_and(|it| it >= near), "{near} avoided, seed {seed}: {chosen:?}");
        }
    }
}
