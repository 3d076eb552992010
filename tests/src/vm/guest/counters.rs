//! The kernel's own counts of what it did, out of the pinned map, past every layer of ours.

use std::os::fd::AsRawFd as _;

use anyhow::{Context as _, Result, ensure};
use redirector_common::Reason;

use super::health::open_map;

const BPF_MAP_LOOKUP_ELEM: libc::c_int = 1;

/// The part of `union bpf_attr` that `BPF_MAP_LOOKUP_ELEM` reads.
#[repr(C)]
struct Lookup {
    map: u32,
    _pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// How often that has happened, on all processors.
pub(super) fn count(reason: Reason) -> Result<u64> {
    let map = open_map("COUNTERS")?;
    let key = reason as u32;
    let mut values = vec![0_u64; possible_processors()?];
    let attributes = Lookup {
        map: u32::try_from(map.as_raw_fd())?,
        _pad: 0,
        key: (&raw const key) as u64,
        value: values.as_mut_ptr() as u64,
        flags: 0,
    };
    // SAFETY: the kernel reads `attributes` and the key, and writes eight bytes for each possible
    // processor: as many as there are values.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_MAP_LOOKUP_ELEM,
            &raw const attributes,
            size_of::<Lookup>(),
        )
    };
    ensure!(result == 0, "cannot read COUNTERS: {}", std::io::Error::last_os_error());
    Ok(values.iter().sum())
}

/// `0` or `0-7`.
fn possible_processors() -> Result<usize> {
    const PATH: &str = "/sys/devices/system/cpu/possible";
    let text = std::fs::read_to_string(PATH).with_context(|| format!("cannot read {PATH}"))?;
    let last = text.trim().rsplit(['-', ',']).next().and_then(|last| last.parse::<usize>().ok());
    Ok(last.with_context(|| format!("{PATH} says {text:?}"))? + 1)
}
