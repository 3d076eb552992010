//! The decision: which backend a connect to a frontend goes to.
//!
//! An ordinary library, generic over what it reads, so that the tests of the user side ask the
//! very code that the kernel runs. Nothing here knows a hook, a verdict number or a map; nothing
//! here loops without a bound or keeps state.

#![cfg_attr(target_arch = "bpf", no_std)]

mod resume;
mod select;
mod tables;

pub use resume::{Earlier, resume};
pub use select::{
    Choice, SAMPLES, SCANNED, Walk, decide, later, sample, sample_but, scan, scan_but, select,
    trial,
};
pub use tables::{Service, Tables, service};

/// Mixes a socket's cookie and a service into a seed: a UDP socket without memory keeps its
/// backend for as long as the table stays the same.
#[inline(always)]
#[must_use]
pub const fn seed_of(cookie: u64, service: u32) -> u32 {
    // The finalizer of MurmurHash3, which maps neighbouring cookies far apart.
    let mut mixed = cookie ^ (service as u64) << 32;
    mixed = (mixed ^ mixed >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed = (mixed ^ mixed >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    (mixed >> 32) as u32
}

/// The same value, of which the compiler knows nothing: it makes no branch of what was computed
/// without one, which the verifier would explore with all that follows.
#[inline(always)]
#[must_use]
pub fn opaque<T: Copy>(value: T) -> T {
    // SAFETY: a volatile load of a local.
    unsafe { (&raw const value).read_volatile() }
}
