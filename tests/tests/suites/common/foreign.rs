//! A program of another owner, attached to a cgroup.

use std::{
    fs::File,
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    path::Path,
};

use super::bpf::bpf;

/// `BPF_PROG_LOAD`, `BPF_PROG_ATTACH`, `BPF_PROG_DETACH` of `enum bpf_cmd`.
const LOAD: libc::c_int = 5;
const ATTACH: libc::c_int = 8;
const DETACH: libc::c_int = 9;

/// Where a program is attached, by the numbers of `enum bpf_prog_type` and `enum bpf_attach_type`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hook {
    program: u32,
    attach: u32,
    /// That the program says when it is loaded; 0 where the kernel asks for none.
    expected: u32,
}

/// `BPF_PROG_TYPE_CGROUP_SOCK_ADDR` at `BPF_CGROUP_INET4_CONNECT`.
pub(crate) const CONNECT4: Hook = Hook { program: 18, attach: 10, expected: 10 };
/// `BPF_PROG_TYPE_SOCK_OPS` at `BPF_CGROUP_SOCK_OPS`.
pub(crate) const SOCK_OPS: Hook = Hook { program: 13, attach: 3, expected: 0 };

/// No other program may be beside it.
pub(crate) const EXCLUSIVE: u32 = 0;
/// `BPF_F_ALLOW_MULTI`.
pub(crate) const BESIDE_OTHERS: u32 = 2;

/// `return 1`, as `struct bpf_insn`: code, registers, offset, number.
pub(crate) const LETS_PASS: [[u8; 8]; 2] =
    [[0xb7, 0, 0, 0, 1, 0, 0, 0], [0x95, 0, 0, 0, 0, 0, 0, 0]];

/// Attached until it is dropped.
pub(crate) struct Foreign {
    cgroup: File,
    program: OwnedFd,
    hook: Hook,
    flags: u32,
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
    /// Loads these instructions and attaches them to `cgroup`.
    pub(crate) fn attach(
        cgroup: &Path,
        hook: Hook,
        flags: u32,
        instructions: &[[u8; 8]],
    ) -> io::Result<Self> {
        let mut attributes = LoadAttributes {
            prog_type: hook.program,
            instruction_count: instructions.len() as u32,
            instructions: instructions.as_ptr() as u64,
            license: c"GPL".as_ptr() as u64,
            expected_attach_type: hook.expected,
            ..LoadAttributes::default()
        };
        attributes.name[..7].copy_from_slice(b"foreign");
        // SAFETY: the attributes are those of this command; what they point at outlives the call.
        let program = unsafe { bpf(LOAD, &mut attributes) }?;
        let fd = libc::c_int::try_from(program).map_err(io::Error::other)?;
        // SAFETY: the kernel has just made this descriptor for us alone.
        let program = unsafe { OwnedFd::from_raw_fd(fd) };
        let foreign = Self { cgroup: File::open(cgroup)?, program, hook, flags };
        foreign.command(ATTACH)?;
        Ok(foreign)
    }

    fn command(&self, command: libc::c_int) -> io::Result<()> {
        let mut attributes = AttachAttributes {
            target: self.cgroup.as_raw_fd().cast_unsigned(),
            program: self.program.as_raw_fd().cast_unsigned(),
            attach_type: self.hook.attach,
            flags: self.flags,
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
