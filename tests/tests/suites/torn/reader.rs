//! The BPF reader: loaded beside the production programs, run by `BPF_PROG_TEST_RUN`.

use std::{
    env, fmt, fs, io, mem,
    os::fd::{AsFd as _, AsRawFd as _},
    path::{Path, PathBuf},
};

use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, PerCpuArray},
    programs::SocketFilter,
};
use redirector::datapath::Pins;

use super::stamp::{OUTCOMES, Outcome};

/// Reads of one system call: half a millisecond, all in one RCU section.
const REPEAT: u32 = 4_096;

/// A loaded reader. It may be run by several threads at once.
#[derive(Debug)]
pub(crate) struct Reader {
    ebpf: Ebpf,
    program: i32,
}

/// What it has met so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) reads: u64,
    pub(crate) whole: u64,
    pub(crate) away: u64,
    pub(crate) torn: u64,
    pub(crate) foreign: u64,
    pub(crate) missed: u64,
    pub(crate) lingered: u64,
    pub(crate) scanned: u64,
}

impl Reader {
    /// Loads one of the programs, of whose reads one in `lingers` stays in the middle for 40 µs;
    /// maps that are pinned are used, the others are made.
    pub(crate) fn load(program: &str, lingers: u32, pins: Option<&Pins>) -> Self {
        let object = object_file();
        let mut loader = EbpfLoader::new();
        loader.override_global("LINGERS", &lingers, true);
        let pinned = pins.map(|pins| fs::read_dir(pins.maps()).expect("the pins"));
        let pinned: Vec<_> = pinned.into_iter().flatten().map(|pin| pin.expect("a pin")).collect();
        let names: Vec<_> =
            pinned.iter().map(|pin| pin.file_name().into_string().expect("ASCII")).collect();
        for (pin, name) in pinned.iter().zip(&names) {
            loader.map_pin_path(name, pin.path());
        }
        if pins.is_none() {
            // What is not read need not be large.
            for name in ["TABLE", "SERVICES", "HEALTH", "BACKENDS", "NAMES", "NODES"] {
                loader.map_max_entries(name, 1);
            }
        }
        let mut ebpf = loader.load(&object).expect("the reader's maps");
        let loaded = ebpf.program_mut(program).expect("the reader's program");
        let loaded: &mut SocketFilter = loaded.try_into().expect("a socket filter");
        loaded.load().expect("the kernel takes the reader");
        let program = loaded.fd().expect("a loaded program").as_fd().as_raw_fd();
        Self { ebpf, program }
    }

    /// Runs it some thousand times on this thread.
    pub(crate) fn run(&self) {
        /// The part of `union bpf_attr` for `BPF_PROG_TEST_RUN`.
        #[repr(C)]
        struct TestRun {
            program: u32,
            result: u32,
            size_in: u32,
            size_out: u32,
            packet_in: u64,
            packet_out: u64,
            repeat: u32,
            duration: u32,
            rest: [u64; 5],
        }
        const BPF_PROG_TEST_RUN: libc::c_int = 10;
        const { assert!(mem::size_of::<TestRun>() == 80) };
        // The kernel wants a packet; the reader does not look at it.
        let packet = [0_u8; 64];
        let attr = TestRun {
            program: self.program.cast_unsigned(),
            result: 0,
            size_in: packet.len() as u32,
            size_out: 0,
            packet_in: packet.as_ptr() as u64,
            packet_out: 0,
            repeat: REPEAT,
            duration: 0,
            rest: [0; 5],
        };
        // SAFETY: `attr` and what it points to live through the call; its size is given.
        let result = unsafe {
            libc::syscall(libc::SYS_bpf, BPF_PROG_TEST_RUN, &raw const attr, size_of_val(&attr))
        };
        assert_eq!(result, 0, "the reader cannot be run: {}", io::Error::last_os_error());
    }

    /// What it has met so far, over all threads.
    pub(crate) fn counts(&self) -> Counts {
        let map = self.ebpf.map("READS").expect("READS");
        let map = PerCpuArray::<_, u64>::try_from(map).expect("READS");
        let mut sums = [0; OUTCOMES];
        for (index, sum) in (0..).zip(&mut sums) {
            *sum = map.get(&index, 0).expect("READS").iter().sum();
        }
        let of = |outcome: Outcome| sums[outcome as usize];
        Counts {
            reads: of(Outcome::Read),
            whole: of(Outcome::Whole),
            away: of(Outcome::Away),
            torn: of(Outcome::Torn),
            foreign: of(Outcome::Foreign),
            missed: of(Outcome::Missed),
            lingered: of(Outcome::Lingered),
            scanned: of(Outcome::Scanned),
        }
    }

    /// One of the reads that went wrong: frontend, stamp, number of the entry, its tier, index of
    /// the backend, then the end of three addresses: the entry's, the expected one, the backend's.
    pub(crate) fn fault(&self) -> [u32; 8] {
        let map = Array::<_, [u32; 8]>::try_from(self.ebpf.map("FAULT").expect("FAULT"));
        map.expect("FAULT").get(&0, 0).expect("FAULT")
    }

    /// One of its maps, for a writer that writes by system calls.
    pub(crate) fn map(&self, name: &str) -> &aya::maps::Map {
        self.ebpf.map(name).unwrap_or_else(|| panic!("the reader has no map {name}"))
    }
}

impl Counts {
    /// Reads that no reader may ever see.
    pub(crate) fn faults(&self) -> u64 {
        self.torn + self.foreign + self.missed
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reads, whole, away, torn, foreign, missed, lingered, scanned } = self;
        write!(
            f,
            "{reads} reads: {torn} torn, {foreign} foreign, {missed} spurious misses, {whole} \
             whole, {away} of frontends that were away ({lingered} lingered, {scanned} scanned)"
        )
    }
}

/// What `cargo xtask test` builds beside the product's object.
fn object_file() -> Vec<u8> {
    let product = env::var_os("REDIRECTOR_BPF_OBJECT").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bpf/redirector.o"),
        PathBuf::from,
    );
    let path = product.with_file_name("torn-reader.o");
    fs::read(&path).unwrap_or_else(|error| {
        panic!("no {} ({error}); `cargo xtask test torn` builds it", path.display())
    })
}
