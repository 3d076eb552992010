//! Makes a machine out of a bare kernel: file systems, the loopback interface, and the end.

use std::fs::{self, File};
use std::os::fd::AsRawFd;

use anyhow::{Context, Result, ensure};
use nix::mount::{MsFlags, mount};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use crate::vm::kernels::MODULES;

/// A flag of `finit_module`: the kernel inflates the module by itself.
const MODULE_INIT_COMPRESSED_FILE: libc::c_int = 4;

/// Where each file system goes, and of which type it is. In this order: bpffs lies in sysfs.
const MOUNTS: [(&str, &str); 6] = [
    ("/proc", "proc"),
    ("/sys", "sysfs"),
    ("/dev", "devtmpfs"),
    ("/tmp", "tmpfs"),
    ("/sys/fs/cgroup", "cgroup2"),
    ("/sys/fs/bpf", "bpf"),
];

pub(super) fn mount_all() -> Result<()> {
    for (path, kind) in MOUNTS {
        mount(Some(kind), path, Some(kind), MsFlags::empty(), None::<&str>)
            .with_context(|| format!("cannot mount {kind} on {path}"))?;
    }
    Ok(())
}

/// Loads what the kernel has as modules and would ask a real user space for.
pub(super) fn load_modules() -> Result<()> {
    for name in MODULES {
        let mut files = fs::read_dir("/modules").context("cannot look for modules")?.flatten();
        let file = files
            .find(|file| file.file_name().to_string_lossy().starts_with(&format!("{name}.ko")))
            .with_context(|| format!("no module {name} in this initramfs"))?;
        let is_compressed = file.path().extension().is_some_and(|end| end == "xz");
        let flags = if is_compressed { MODULE_INIT_COMPRESSED_FILE } else { 0 };
        let module = File::open(file.path())?;
        // SAFETY: the kernel reads the file and an empty string.
        let result = unsafe {
            libc::syscall(libc::SYS_finit_module, module.as_raw_fd(), c"".as_ptr(), flags)
        };
        ensure!(result == 0, "cannot load {name}: {}", std::io::Error::last_os_error());
    }
    Ok(())
}

/// With the interface come 127.0.0.0/8 and ::1.
pub(super) fn bring_loopback_up() -> Result<()> {
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)
        .context("cannot make a socket")?;
    // SAFETY: all fields of ifreq are integers or bytes, for which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = from.cast_signed();
    }
    let flags = libc::IFF_UP | libc::IFF_RUNNING;
    request.ifr_ifru.ifru_flags = flags.try_into().context("flags of an interface are 16 bits")?;
    // SAFETY: the kernel reads one ifreq, which lives until after the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    ensure!(result == 0, "cannot bring lo up: {}", std::io::Error::last_os_error());
    Ok(())
}

pub(super) fn kernel_release() -> Result<String> {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").context("cannot read osrelease")?;
    Ok(text.trim().to_owned())
}

pub(super) fn seconds_since_boot() -> Result<f64> {
    let text = fs::read_to_string("/proc/uptime").context("cannot read uptime")?;
    let first = text.split_whitespace().next().context("uptime is empty")?;
    first.parse().with_context(|| format!("uptime is {text:?}"))
}

/// Ends the machine; only a caller who may not do that sees it return.
pub(super) fn power_off() {
    // SAFETY: takes no memory; the file systems are all in memory, nothing needs a sync.
    unsafe { libc::reboot(libc::RB_POWER_OFF) };
}
