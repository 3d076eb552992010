//! Programs for the torn-reads test: they read as the production programs do, again and again, and
//! check what they find.
//!
//! Never part of the product. `tables` reads the pinned maps through the production decision;
//! `naive` reads what the design rejects. `BPF_PROG_TEST_RUN` repeats them.

#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![cfg_attr(target_arch = "bpf", feature(core_intrinsics))]
#![cfg_attr(
    target_arch = "bpf",
    expect(internal_features, reason = "the only atomic addition there is for this architecture")
)]

#[cfg(target_arch = "bpf")]
#[path = "../maps.rs"]
mod maps;
#[cfg(target_arch = "bpf")]
mod naive;
#[cfg(target_arch = "bpf")]
#[path = "../slot.rs"]
#[expect(dead_code, unused_macros, unused_imports, reason = "the maps only look elements up")]
mod slot;
#[cfg(target_arch = "bpf")]
mod stamp;
#[cfg(target_arch = "bpf")]
mod tables;

#[cfg(not(target_arch = "bpf"))]
fn main() {}

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: nothing panics: the verifier would find the way here and refuse the loop.
    unsafe { core::hint::unreachable_unchecked() }
}

#[cfg(target_arch = "bpf")]
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
