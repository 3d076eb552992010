//! The system call itself, for what `bpftool` cannot do, or not without touching what it looks at.

use std::io;

/// What the kernel gives ids to: the command that finds the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Program = 11,
    Map = 12,
    Link = 31,
}

/// The part of `union bpf_attr` that `BPF_…_GET_NEXT_ID` reads and writes.
#[repr(C)]
struct NextId {
    start: u32,
    next: u32,
    flags: u32,
}

/// Whether the kernel has something with this id. It takes no reference, unlike `bpftool map list`:
/// where that closes a program array while it is being freed, Linux may keep the array for ever
/// (`prog_array_map_clear` counts a reference for work that is queued already).
pub fn exists(kind: Kind, id: u32) -> bool {
    let mut attributes = NextId { start: id - 1, next: 0, flags: 0 };
    // SAFETY: the attributes are those of these commands, and hold no pointers.
    let found = unsafe { bpf(kind as libc::c_int, &mut attributes) };
    found.is_ok() && attributes.next == id
}

/// # Safety
///
/// `attributes` are what `command` expects, and every pointer in them is valid.
pub unsafe fn bpf<T>(command: libc::c_int, attributes: &mut T) -> io::Result<libc::c_long> {
    let pointer = std::ptr::from_mut(attributes);
    // SAFETY: the kernel reads and writes as many bytes as `T` has, and what the caller vouches for.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, pointer, size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
