//! Torn reads: a BPF reader at full speed against a writer at full speed, on the production layout
//! and on those that it was chosen over.

mod done;
mod naive;
mod reader;
#[path = "../../../../redirector-ebpf/src/torn_reader/stamp.rs"]
mod stamp;
mod tables;
mod writer;

use std::{
    panic,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use reader::{Counts, Reader};

/// Reads of the production layout.
const READS: u64 = 100_000_000;
/// They take 20 to 30 s on two cores that nobody else uses.
const LONGEST: Duration = Duration::from_secs(85);
/// How many reads there are for one that lingers: a twentieth of the time is spent with them.
const RARELY: u32 = 2_048;
/// Nearly all of the time.
const OFTEN: u32 = 64;
/// Where faults are expected, so many are enough.
const ENOUGH: u64 = 10;
/// They come within seconds.
const LONGEST_SEARCH: Duration = Duration::from_secs(30);

#[test]
fn no_read_of_the_production_tables_is_torn_or_foreign_or_misses() {
    let bench = tables::Bench::new();
    let mut writer = bench.writer(writer::Barriers::Kept);
    let reader = bench.reader(RARELY);

    let counts = race(&reader, 2, LONGEST, |counts| counts.reads >= READS, || writer.step());

    println!("{counts}; {}", writer.done());
    assert_eq!(counts.faults(), 0, "{counts}, for example {:?}", reader.fault());
    assert!(counts.reads >= READS, "only {counts} in {LONGEST:?}");
    assert!(counts.lingered > READS / 10_000 && counts.scanned > 0 && counts.away > 0, "{counts}");
    assert!(writer.done().plans > 100, "the writer hardly wrote: {}", writer.done());
}

#[test]
fn without_grace_periods_the_same_tables_are_read_torn() {
    let bench = tables::Bench::new();
    let mut writer = bench.writer(writer::Barriers::Dropped);
    let reader = bench.reader(OFTEN);

    let counts =
        race(&reader, 1, LONGEST_SEARCH, |counts| counts.faults() >= ENOUGH, || writer.step());

    println!("{counts}; {}", writer.done());
    assert!(counts.faults() > 0, "the reader is blind: {counts}");
}

#[test]
fn plain_values_of_hash_and_array_are_read_torn() {
    let reader = Reader::load("naive", OFTEN, None);
    let mut writer = naive::Writer::new(&reader);

    let counts =
        race(&reader, 1, LONGEST_SEARCH, |counts| counts.faults() >= ENOUGH, || writer.step());

    println!("{counts}; {} updates", writer.updates());
    assert!(counts.faults() > 0, "the reader is blind: {counts}");
}

/// Lets readers and a writer run side by side until `is_enough`, or for so long. A writer that
/// waits a lot leaves its core to a second reader.
fn race(
    reader: &Reader,
    readers: usize,
    longest: Duration,
    is_enough: impl Fn(&Counts) -> bool,
    mut write: impl FnMut(),
) -> Counts {
    let stop = AtomicBool::new(false);
    let deadline = Instant::now() + longest;
    thread::scope(|scope| {
        for _ in 0..readers {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    reader.run();
                }
            });
        }
        // A writer that panics must not leave the readers running.
        let written = panic::catch_unwind(panic::AssertUnwindSafe(|| {
            while Instant::now() < deadline && !is_enough(&reader.counts()) {
                write();
            }
        }));
        stop.store(true, Ordering::Relaxed);
        if let Err(reason) = written {
            panic::resume_unwind(reason);
        }
    });
    reader.counts()
}
