//! The programs; programs.rs alone knows verdict numbers.
//!
//! Whatever goes wrong inside leaves the address alone; only a service without a usable backend
//! is refused.

#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![cfg_attr(target_arch = "bpf", feature(core_intrinsics))]
#![cfg_attr(
    target_arch = "bpf",
    expect(internal_features, reason = "the only atomic addition there is for this architecture")
)]
#![cfg_attr(
    target_arch = "bpf",
    expect(
        clippy::needless_borrows_for_generic_args,
        reason = "a key by value is copied once more on a stack of 512 bytes"
    )
)]

#[cfg(target_arch = "bpf")]
mod agentless;
#[cfg(target_arch = "bpf")]
mod answers;
#[cfg(target_arch = "bpf")]
mod avoid;
#[cfg(target_arch = "bpf")]
mod backend;
#[cfg(target_arch = "bpf")]
mod caller;
#[cfg(target_arch = "bpf")]
mod client;
#[cfg(target_arch = "bpf")]
mod closing;
#[cfg(target_arch = "bpf")]
mod context;
#[cfg(target_arch = "bpf")]
mod kernel_socket;
#[cfg(target_arch = "bpf")]
mod listen;
#[cfg(target_arch = "bpf")]
mod maps;
#[cfg(target_arch = "bpf")]
mod passive;
#[cfg(target_arch = "bpf")]
mod ports;
#[cfg(target_arch = "bpf")]
mod programs;
#[cfg(target_arch = "bpf")]
mod redirect;
#[cfg(target_arch = "bpf")]
mod slot;
#[cfg(target_arch = "bpf")]
mod socket_slots;
#[cfg(target_arch = "bpf")]
mod socket_state;
#[cfg(target_arch = "bpf")]
mod steps;
#[cfg(target_arch = "bpf")]
mod watch;

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
