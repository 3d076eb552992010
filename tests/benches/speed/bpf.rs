//! The few bpf(2) commands a measurement needs: an empty program, run statistics, the memory of a
//! pinned map.

use std::{
    ffi::CString,
    fs, io, mem,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

use anyhow::{Context as _, Result, ensure};
use aya_obj::generated::{
    bpf_attach_type, bpf_attr, bpf_cmd, bpf_prog_info, bpf_prog_type, bpf_stats_type,
};

/// The hooks that a dial may run through, and those that answer about it.
const HOOKS: [bpf_attach_type; 8] = [
    bpf_attach_type::BPF_CGROUP_INET4_CONNECT,
    bpf_attach_type::BPF_CGROUP_INET6_CONNECT,
    bpf_attach_type::BPF_CGROUP_UDP4_SENDMSG,
    bpf_attach_type::BPF_CGROUP_UDP6_SENDMSG,
    bpf_attach_type::BPF_CGROUP_SOCK_OPS,
    bpf_attach_type::BPF_CGROUP_INET_SOCK_RELEASE,
    bpf_attach_type::BPF_CGROUP_INET4_GETPEERNAME,
    bpf_attach_type::BPF_CGROUP_UDP4_RECVMSG,
];

/// While it lives the kernel counts runs and run time of every program of the machine.
#[derive(Debug)]
pub struct Statistics {
    _fd: OwnedFd,
}

impl Statistics {
    pub fn enable() -> Result<Self> {
        let mut attr = zeroed();
        attr.enable_stats.type_ = bpf_stats_type::BPF_STATS_RUN_TIME as u32;
        let fd = bpf(bpf_cmd::BPF_ENABLE_STATS, &mut attr).context("cannot enable statistics")?;
        Ok(Self { _fd: owned(fd) })
    }
}

/// Every program that is attached to one cgroup. What they tail-call counts as theirs.
#[derive(Debug)]
pub struct Programs(Vec<OwnedFd>);

impl Programs {
    pub fn of(cgroup: &Path) -> Result<Self> {
        let directory = fs::File::open(cgroup).context("cannot open a cgroup of ours")?;
        let mut programs = Vec::new();
        for hook in HOOKS {
            for id in attached(directory.as_fd(), hook).context("cannot ask a cgroup")? {
                let mut attr = zeroed();
                attr.__bindgen_anon_6.__bindgen_anon_1.prog_id = id;
                let fd = bpf(bpf_cmd::BPF_PROG_GET_FD_BY_ID, &mut attr);
                programs.push(owned(fd.context("cannot open a program by its id")?));
            }
        }
        Ok(Self(programs))
    }

    /// Nanoseconds that they have run while statistics were on, all together.
    pub fn run_time(&self) -> Result<u64> {
        self.0.iter().map(|program| Ok(info(program.as_fd())?.run_time_ns)).sum()
    }
}

/// A program that lets every IPv4 connect pass: what any program costs at that hook.
#[derive(Debug)]
pub struct EmptyProgram {
    _program: OwnedFd,
    _link: OwnedFd,
}

impl EmptyProgram {
    pub fn attach(cgroup: &Path) -> Result<Self> {
        // r0 = 1; exit
        let instructions = [0x0000_0001_0000_00b7_u64, 0x0000_0000_0000_0095];
        let mut attr = zeroed();
        // SAFETY: borrowing a member of a zeroed union of plain data.
        let load = unsafe { &mut attr.__bindgen_anon_3 };
        load.prog_type = bpf_prog_type::BPF_PROG_TYPE_CGROUP_SOCK_ADDR as u32;
        load.expected_attach_type = bpf_attach_type::BPF_CGROUP_INET4_CONNECT as u32;
        load.insns = instructions.as_ptr() as u64;
        load.insn_cnt = instructions.len() as u32;
        load.license = c"Dual MIT/GPL".as_ptr() as u64;
        let fd = bpf(bpf_cmd::BPF_PROG_LOAD, &mut attr).context("cannot load an empty program")?;
        let program = owned(fd);

        let directory = fs::File::open(cgroup).context("cannot open a cgroup of ours")?;
        let mut attr = zeroed();
        attr.link_create.__bindgen_anon_1.prog_fd = program.as_raw_fd() as u32;
        attr.link_create.__bindgen_anon_2.target_fd = directory.as_raw_fd() as u32;
        attr.link_create.attach_type = bpf_attach_type::BPF_CGROUP_INET4_CONNECT as u32;
        let fd = bpf(bpf_cmd::BPF_LINK_CREATE, &mut attr).context("cannot attach it")?;
        Ok(Self { _program: program, _link: owned(fd) })
    }
}

/// Bytes of kernel memory behind the map pinned at `pin`, as `bpftool map show` has it.
pub fn map_memory(pin: &Path) -> Result<u64> {
    let path = CString::new(pin.as_os_str().as_bytes()).context("a path with a zero byte")?;
    let mut attr = zeroed();
    attr.__bindgen_anon_4.pathname = path.as_ptr() as u64;
    let fd = bpf(bpf_cmd::BPF_OBJ_GET, &mut attr);
    let map = owned(fd.with_context(|| format!("cannot open {}", pin.display()))?);
    let about = fs::read_to_string(format!("/proc/self/fdinfo/{}", map.as_raw_fd()))
        .context("cannot read what the kernel says of a map")?;
    let bytes = about.lines().find_map(|line| line.strip_prefix("memlock:")?.trim().parse().ok());
    bytes.context("the kernel does not say how large a map is")
}

fn attached(cgroup: BorrowedFd<'_>, hook: bpf_attach_type) -> Result<Vec<u32>> {
    let mut ids = [0_u32; 64];
    let mut attr = zeroed();
    attr.query.__bindgen_anon_1.target_fd = cgroup.as_raw_fd() as u32;
    attr.query.__bindgen_anon_2.prog_cnt = ids.len() as u32;
    attr.query.attach_type = hook as u32;
    attr.query.prog_ids = ids.as_mut_ptr() as u64;
    bpf(bpf_cmd::BPF_PROG_QUERY, &mut attr)?;
    // SAFETY: the kernel has filled it.
    let count = unsafe { attr.query.__bindgen_anon_2.prog_cnt } as usize;
    ensure!(count <= ids.len(), "{count} programs at one hook");
    Ok(ids[..count].to_vec())
}

fn info(program: BorrowedFd<'_>) -> Result<bpf_prog_info> {
    // SAFETY: plain data.
    let mut info: bpf_prog_info = unsafe { mem::zeroed() };
    let mut attr = zeroed();
    attr.info.bpf_fd = program.as_raw_fd() as u32;
    attr.info.info = &raw mut info as u64;
    attr.info.info_len = mem::size_of_val(&info) as u32;
    bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr).context("cannot ask about a program")?;
    Ok(info)
}

fn bpf(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<i64> {
    // SAFETY: `attr` is a whole, initialised bpf_attr; each caller keeps what it points to alive
    // for the call.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command, &raw mut *attr, mem::size_of::<bpf_attr>())
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn zeroed() -> bpf_attr {
    // SAFETY: bpf_attr is plain data; the kernel wants unused bytes to be zero.
    unsafe { mem::zeroed() }
}

fn owned(fd: i64) -> OwnedFd {
    // SAFETY: the kernel has just made this descriptor for us.
    unsafe { OwnedFd::from_raw_fd(fd as i32) }
}
