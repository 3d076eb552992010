//! A program of somebody else, attached to a cgroup so that no other may be beside it.

use crate::common::bpf::bpf;
use std::{
    fs::File,
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    path::Path,
};

/// `BPF_PROG_LOAD`, `BPF_PROG_ATTACH`, `BPF_PROG_DETACH` of `enum bpf_cmd`.
const LOAD: libc::c_int = 5;
const ATTACH: libc::c_int = 8;
const DETACH: libc::c_int = 9;
/// `BPF_PROG_TYPE_CGROUP_SOCK_ADDR`.
const SOCK_ADDR: u32 = 18;
/// `BPF_CGROUP_INET4_CONNECT`.
const CONNECT4: u32 = 10;

/// Attached until it is dropped.
pub struct Foreign {
    cgroup: File,
    program: OwnedFd,
}

/// The parts of `union bpf_attr` that these commands read.
#[repr(C)]
#[derive(Default)]
struct LoadAttributes {
    prog_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    expected_attach_type: u32,
}

#[repr(C)]
struct AttachAttributes {
    target: u32,
    program: u32,
    attach_type: u32,
    flags: u32,
}

impl Foreign {
    /// `return 1`, on connect4 of `cgroup`, with flags 0: exclusive.
    pub fn attach(cgroup: &Path) -> io::Result<Self> {
        // r0 = 1; exit.
        let instructions: [u64; 2] = [0x0000_0001_0000_00b7, 0x0000_0000_0000_0095];
        let mut attributes = LoadAttributes {
            prog_type: SOCK_ADDR,
            instruction_count: 2,
            instructions: instructions.as_ptr() as u64,
            license: c"GPL".as_ptr() as u64,
            expected_attach_type: CONNECT4,
            ..LoadAttributes::default()
        };
        attributes.name[..7].copy_from_slice(b"foreign");
        // SAFETY: the attributes are those of this command; what they point at outlives the call.
        let program = unsafe { bpf(LOAD, &mut attributes) }?;
        let fd = libc::c_int::try_from(program).map_err(io::Error::other)?;
        // SAFETY: the kernel has just made this descriptor for us alone.
        let program = unsafe { OwnedFd::from_raw_fd(fd) };
        let foreign = Self { cgroup: File::open(cgroup)?, program };
        foreign.command(ATTACH)?;
        Ok(foreign)
    }

    fn command(&self, command: libc::c_int) -> io::Result<()> {
        let mut attributes = AttachAttributes {
            target: self.cgroup.as_raw_fd().cast_unsigned(),
            program: self.program.as_raw_fd().cast_unsigned(),
            attach_type: CONNECT4,
            flags: 0,
        };
        // SAFETY: the attributes are those of this command, and hold no pointers.
        unsafe { bpf(command, &mut attributes) }.map(drop)
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        // Otherwise it goes with its cgroup.
        let _ = self.command(DETACH);
    }
}
