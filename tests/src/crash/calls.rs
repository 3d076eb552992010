//! Which calls change something that outlives their process, and what each is about.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use nix::unistd::Pid;

/// Calls that may change such a thing: of some the arguments decide.
#[cfg(target_arch = "x86_64")]
pub(super) const CALLS: &[(libc::c_long, &str)] = &[
    (libc::SYS_bpf, "bpf"),
    (libc::SYS_mkdir, "mkdir"),
    (libc::SYS_rmdir, "rmdir"),
    (libc::SYS_unlink, "unlink"),
    (libc::SYS_rename, "rename"),
    (libc::SYS_chmod, "chmod"),
    (libc::SYS_chown, "chown"),
    (libc::SYS_lchown, "lchown"),
    (libc::SYS_fchmod, "fchmod"),
    (libc::SYS_fchown, "fchown"),
    (libc::SYS_openat, "openat"),
    (libc::SYS_write, "write"),
    (libc::SYS_fsync, "fsync"),
    (libc::SYS_bind, "bind"),
];
/// The standard library makes other calls there; the suite is not built.
#[cfg(not(target_arch = "x86_64"))]
pub(super) const CALLS: &[(libc::c_long, &str)] = &[];

/// Commands of `bpf` that change such a thing, by `enum bpf_cmd`.
const COMMANDS: &[(u64, &str)] = &[
    (2, "map update"),
    (3, "map delete"),
    (6, "pin"),
    (28, "link create"),
    (29, "link update"),
    (34, "link detach"),
];
const OBJ_PIN: u64 = 6;
/// Longer than any path here.
const LONGEST_PATH: usize = 256;

/// What this call is about to change: `unlink connect4_new`. `None` if that is nothing: it only looks,
/// or what it would make is there already, or what it would remove is not.
pub(super) fn about(pid: Pid, number: u64, arguments: [u64; 6]) -> Option<String> {
    let (_, name) = CALLS.iter().find(|(call, _)| u64::try_from(*call) == Ok(number))?;
    let path = |at: u64| text(pid, at).map(PathBuf::from);
    let file = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let [first, second, third, ..] = arguments;
    let object = match *name {
        "bpf" => {
            let (_, command) = COMMANDS.iter().find(|(command, _)| *command == first)?;
            let pinned = (first == OBJ_PIN).then(|| path(word(pid, second)?)).flatten();
            return Some(format!("{command} {}", pinned.map(|at| file(&at)).unwrap_or_default()));
        }
        "mkdir" => path(first).filter(|path| path.symlink_metadata().is_err())?,
        "rmdir" | "unlink" => path(first).filter(|path| path.symlink_metadata().is_ok())?,
        "openat" => {
            let creates = third & u64::from(libc::O_CREAT.cast_unsigned()) != 0;
            path(second).filter(|_| creates)?
        }
        "write" | "fsync" | "fchmod" | "fchown" => opened(pid, first)?,
        "bind" => PathBuf::new(),
        _ => path(first)?,
    };
    Some(format!("{name} {}", file(&object)))
}

/// The file behind a descriptor that is no standard one; pipes, sockets and the like have no path.
fn opened(pid: Pid, descriptor: u64) -> Option<PathBuf> {
    let path = fs::read_link(format!("/proc/{pid}/fd/{descriptor}")).ok()?;
    (descriptor > 2 && path.is_absolute()).then_some(path)
}

fn text(pid: Pid, at: u64) -> Option<String> {
    let mut bytes = [0; LONGEST_PATH];
    let length = memory(pid)?.read_at(&mut bytes, at).ok()?;
    let end = bytes[..length].iter().position(|byte| *byte == 0)?;
    String::from_utf8(bytes[..end].to_vec()).ok()
}

fn word(pid: Pid, at: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    memory(pid)?.read_exact_at(&mut bytes, at).ok()?;
    Some(u64::from_ne_bytes(bytes))
}

fn memory(pid: Pid) -> Option<File> {
    File::open(format!("/proc/{pid}/mem")).ok()
}
