//! The bpf(2) commands that aya 0.14 lacks: link update and info, pins of bare descriptors, the
//! barrier's maps, program queries by cgroup.
//!
//! Shaped like the newer aya API, so that they can be dropped for it.

use std::{
    ffi::{CString, c_char},
    fmt, io, mem,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

use aya_obj::generated::{
    bpf_attach_type, bpf_attr, bpf_cmd, bpf_link_info, bpf_link_type, bpf_map_info, bpf_map_type,
    bpf_prog_info, bpf_prog_type,
};

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

fn c_path(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

/// Opens whatever is pinned at `path`.
pub fn obj_get(path: &Path) -> io::Result<OwnedFd> {
    let path = c_path(path)?;
    let mut attr = zeroed();
    attr.__bindgen_anon_4.pathname = path.as_ptr() as u64;
    bpf(bpf_cmd::BPF_OBJ_GET, &mut attr).map(owned)
}

/// Pins a map, program or link at `path`, readable by its owner alone.
pub fn obj_pin(fd: impl AsFd, path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let c_path = c_path(path)?;
    let mut attr = zeroed();
    attr.__bindgen_anon_4.pathname = c_path.as_ptr() as u64;
    attr.__bindgen_anon_4.bpf_fd = fd.as_fd().as_raw_fd() as u32;
    bpf(bpf_cmd::BPF_OBJ_PIN, &mut attr)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
}

/// Attaches a program to a cgroup, beside others that allow it.
pub fn link_create(
    program: BorrowedFd<'_>,
    cgroup: BorrowedFd<'_>,
    attach: u32,
) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    attr.link_create.__bindgen_anon_1.prog_fd = program.as_raw_fd() as u32;
    attr.link_create.__bindgen_anon_2.target_fd = cgroup.as_raw_fd() as u32;
    attr.link_create.attach_type = attach;
    bpf(bpf_cmd::BPF_LINK_CREATE, &mut attr).map(owned)
}

/// Exchanges the program of a link; no dial in between meets neither.
pub fn link_update(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = zeroed();
    attr.link_update.link_fd = link.as_raw_fd() as u32;
    attr.link_update.__bindgen_anon_1.new_prog_fd = program.as_raw_fd() as u32;
    bpf(bpf_cmd::BPF_LINK_UPDATE, &mut attr).map(drop)
}

/// Detaches a link for good, even if other processes hold it (5.11).
pub fn link_detach(link: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = zeroed();
    attr.link_detach.link_fd = link.as_raw_fd() as u32;
    bpf(bpf_cmd::BPF_LINK_DETACH, &mut attr).map(drop)
}

/// Where a cgroup link is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CgroupLink {
    /// Id of the program it runs.
    pub program: u32,
    /// Id of the cgroup, its inode number; 0 if the cgroup is gone.
    pub cgroup: u64,
    /// Which hook: a `bpf_attach_type`.
    pub attach: u32,
}

/// What the kernel says of a cgroup link. An error of the kind `InvalidInput` if it is none.
pub fn link_info(link: BorrowedFd<'_>) -> io::Result<CgroupLink> {
    // SAFETY: plain data.
    let mut info: bpf_link_info = unsafe { mem::zeroed() };
    info_by_fd(link, &mut info)?;
    if info.type_ != bpf_link_type::BPF_LINK_TYPE_CGROUP as u32 {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    // SAFETY: of a cgroup link the kernel has filled that member.
    let cgroup = unsafe { info.__bindgen_anon_1.cgroup };
    Ok(CgroupLink { program: info.prog_id, cgroup: cgroup.cgroup_id, attach: cgroup.attach_type })
}

/// The name of a program, of at most 15 bytes.
pub fn program_name(program: BorrowedFd<'_>) -> io::Result<String> {
    // SAFETY: plain data.
    let mut info: bpf_prog_info = unsafe { mem::zeroed() };
    info_by_fd(program, &mut info)?;
    Ok(name(&info.name))
}

/// The names of the maps that a program uses, of 64 at most; `CAP_SYS_ADMIN` is needed.
pub fn maps_of(program: BorrowedFd<'_>) -> io::Result<Vec<String>> {
    let mut ids = [0_u32; 64];
    // SAFETY: plain data.
    let mut info: bpf_prog_info = unsafe { mem::zeroed() };
    info.nr_map_ids = ids.len() as u32;
    info.map_ids = ids.as_mut_ptr() as u64;
    info_by_fd(program, &mut info)?;
    let count = ids.len().min(info.nr_map_ids as usize);
    ids[..count].iter().map(|id| Ok(name(&map_info(map_by_id(*id)?.as_fd())?.name))).collect()
}

fn map_by_id(id: u32) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    attr.__bindgen_anon_6.__bindgen_anon_1.map_id = id;
    bpf(bpf_cmd::BPF_MAP_GET_FD_BY_ID, &mut attr).map(owned)
}

fn name(bytes: &[c_char]) -> String {
    let bytes = bytes.iter().map(|byte| byte.cast_unsigned()).take_while(|byte| *byte != 0);
    String::from_utf8_lossy(&bytes.collect::<Vec<_>>()).into_owned()
}

fn info_by_fd<T>(fd: BorrowedFd<'_>, info: &mut T) -> io::Result<()> {
    let mut attr = zeroed();
    attr.info.bpf_fd = fd.as_raw_fd() as u32;
    attr.info.info = &raw mut *info as u64;
    attr.info.info_len = mem::size_of::<T>() as u32;
    bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr).map(drop)
}

/// Opens a program by its id (CAP_SYS_ADMIN).
pub fn program_by_id(id: u32) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    attr.__bindgen_anon_6.__bindgen_anon_1.prog_id = id;
    bpf(bpf_cmd::BPF_PROG_GET_FD_BY_ID, &mut attr).map(owned)
}

/// Ids of the programs attached to a cgroup itself, and their attach flags (CAP_NET_ADMIN).
pub fn programs_of(cgroup: BorrowedFd<'_>, attach: u32) -> io::Result<(Vec<u32>, u32)> {
    let mut ids = [0_u32; 64];
    let mut attr = zeroed();
    attr.query.__bindgen_anon_1.target_fd = cgroup.as_raw_fd() as u32;
    attr.query.__bindgen_anon_2.prog_cnt = ids.len() as u32;
    attr.query.attach_type = attach;
    attr.query.prog_ids = ids.as_mut_ptr() as u64;
    bpf(bpf_cmd::BPF_PROG_QUERY, &mut attr)?;
    // SAFETY: the kernel has filled them.
    let (count, flags) = unsafe { (attr.query.__bindgen_anon_2.prog_cnt, attr.query.attach_flags) };
    Ok((ids[..count as usize].to_vec(), flags))
}

/// The two maps of the barrier: an array of one map, and the array in it.
pub fn create_barrier() -> io::Result<(OwnedFd, OwnedFd)> {
    let inner = create_map(bpf_map_type::BPF_MAP_TYPE_ARRAY, "BARRIER_INNER", 4, 0, None)?;
    let kind = bpf_map_type::BPF_MAP_TYPE_ARRAY_OF_MAPS;
    let outer = create_map(kind, "BARRIER", 4, 0, Some(inner.as_fd()))?;
    Ok((outer, inner))
}

/// Creates an array of one element.
fn create_map(
    kind: bpf_map_type,
    name: &str,
    value_size: usize,
    flags: u32,
    inner: Option<BorrowedFd<'_>>,
) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    // SAFETY: writing and borrowing a member of a zeroed union of plain data.
    let create = unsafe { &mut attr.__bindgen_anon_1 };
    create.map_type = kind as u32;
    create.key_size = 4;
    create.value_size = value_size as u32;
    create.max_entries = 1;
    create.map_flags = flags;
    create.inner_map_fd = inner.map_or(0, |fd| fd.as_raw_fd() as u32);
    for (to, from) in create.map_name.iter_mut().zip(name.bytes()) {
        *to = from as _;
    }
    bpf(bpf_cmd::BPF_MAP_CREATE, &mut attr).map(owned)
}

/// Waits for a grace period: the kernel does so whenever userspace replaces a map within a map.
pub fn barrier(outer: BorrowedFd<'_>, inner: BorrowedFd<'_>) -> io::Result<()> {
    update(outer, &inner.as_raw_fd().to_ne_bytes())
}

/// Writes the first element of an array, whose values are as long as `value`.
fn update(array: BorrowedFd<'_>, value: &[u8]) -> io::Result<()> {
    let key = 0_u32;
    let mut attr = zeroed();
    attr.__bindgen_anon_2.map_fd = array.as_raw_fd() as u32;
    attr.__bindgen_anon_2.key = &raw const key as u64;
    attr.__bindgen_anon_2.__bindgen_anon_1.value = value.as_ptr() as u64;
    bpf(bpf_cmd::BPF_MAP_UPDATE_ELEM, &mut attr).map(drop)
}

/// What a map is, as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapShape {
    /// Its name, of at most 15 bytes.
    pub name: String,
    /// A `bpf_map_type`.
    pub kind: u32,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// Capacity.
    pub max_entries: u32,
}

impl MapShape {
    /// A shape of any capacity.
    #[must_use]
    pub fn new(name: &str, kind: u32, key_size: u32, value_size: u32) -> Self {
        Self { name: name.to_owned(), kind, key_size, value_size, max_entries: 0 }
    }

    /// Whether they are the same but for the capacity.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        Self { max_entries: 0, ..self.clone() } == Self { max_entries: 0, ..other.clone() }
    }
}

impl fmt::Display for MapShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, kind, key_size, value_size, max_entries: _ } = self;
        match bpf_map_type::try_from(*kind) {
            Ok(kind) => {
                let kind = format!("{kind:?}");
                write!(f, "a map of the type {}", kind.trim_start_matches("BPF_MAP_TYPE_"))?;
            }
            Err(_) => write!(f, "a map of the type {kind}")?,
        }
        write!(f, " \"{name}\" with keys of {key_size} and values of {value_size} bytes")
    }
}

/// What the kernel says of a map. Of what is no map the name is empty.
pub fn map_shape(map: BorrowedFd<'_>) -> io::Result<MapShape> {
    let info = map_info(map)?;
    Ok(MapShape {
        name: name(&info.name),
        kind: info.type_,
        key_size: info.key_size,
        value_size: info.value_size,
        max_entries: info.max_entries,
    })
}

/// By which number the kernel knows a map, wherever it is pinned.
pub fn map_id(map: BorrowedFd<'_>) -> io::Result<u32> {
    Ok(map_info(map)?.id)
}

fn map_info(map: BorrowedFd<'_>) -> io::Result<bpf_map_info> {
    // SAFETY: plain data.
    let mut info: bpf_map_info = unsafe { mem::zeroed() };
    info_by_fd(map, &mut info)?;
    Ok(info)
}

/// A map of constants, frozen: the verifier sees through it.
pub fn create_constants(data: &[u8]) -> io::Result<OwnedFd> {
    const BPF_F_RDONLY_PROG: u32 = 1 << 7;
    let kind = bpf_map_type::BPF_MAP_TYPE_ARRAY;
    let map = create_map(kind, "", data.len(), BPF_F_RDONLY_PROG, None)?;
    update(map.as_fd(), data)?;
    let mut attr = zeroed();
    attr.__bindgen_anon_2.map_fd = map.as_raw_fd() as u32;
    bpf(bpf_cmd::BPF_MAP_FREEZE, &mut attr)?;
    Ok(map)
}

/// Has the kernel verify a program, and returns the statistics of its log. The
/// program is gone afterwards.
pub fn verify(
    instructions: &[u64],
    kind: bpf_prog_type,
    attach: bpf_attach_type,
) -> io::Result<String> {
    /// `BPF_LOG_STATS`: the last lines of the log, and nothing else.
    const STATISTICS: u32 = 4;
    let license = c"Dual MIT/GPL";
    let mut log = vec![0_u8; 64 * 1024];
    let mut attr = zeroed();
    // SAFETY: borrowing a member of a zeroed union of plain data.
    let load = unsafe { &mut attr.__bindgen_anon_3 };
    load.prog_type = kind as u32;
    load.expected_attach_type = attach as u32;
    load.insns = instructions.as_ptr() as u64;
    load.insn_cnt = instructions.len() as u32;
    load.license = license.as_ptr() as u64;
    load.log_level = STATISTICS;
    load.log_buf = log.as_mut_ptr() as u64;
    load.log_size = log.len() as u32;
    drop(bpf(bpf_cmd::BPF_PROG_LOAD, &mut attr).map(owned)?);
    let end = log.iter().position(|byte| *byte == 0).unwrap_or(log.len());
    Ok(String::from_utf8_lossy(&log[..end]).into_owned())
}
