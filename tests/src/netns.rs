//! A network namespace without a name: it ends with the last process that uses it.
//!
//! Never `ip netns exec`: that mounts a new `/sys`, and cgroups and pins are out of sight.

use std::{
    fs::{self, File},
    io::Write as _,
    os::fd::{AsRawFd as _, BorrowedFd, OwnedFd},
    panic,
    path::PathBuf,
    process::{Command, Stdio},
    sync::Arc,
    thread,
};

use anyhow::{Context as _, Result, ensure};
use nix::sched::{CloneFlags, setns, unshare};

/// A network namespace; clones are the same one. It starts with `lo` up and nothing else.
#[derive(Debug, Clone)]
pub struct Netns {
    fd: Arc<OwnedFd>,
}

impl Netns {
    /// Makes one with `lo` up and IPv6 on.
    pub fn new() -> Result<Self> {
        let fd = on_own_thread(|| -> Result<OwnedFd> {
            unshare(CloneFlags::CLONE_NEWNET).context("cannot make a network namespace")?;
            // What the thread leaves behind: the namespace outlives it through this descriptor.
            Ok(File::open("/proc/thread-self/ns/net").context("cannot open a namespace")?.into())
        })?;
        let netns = Self { fd: Arc::new(fd) };
        netns.run(|| -> Result<()> {
            for scope in ["all", "default"] {
                let switch = format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6");
                fs::write(&switch, "0").with_context(|| format!("cannot write {switch}"))?;
            }
            Ok(())
        })?;
        netns.ip("link set lo up")?;
        Ok(netns)
    }

    /// Runs `job` inside, on a thread of its own, and returns what it returns. Panics with it.
    ///
    /// Sockets and child processes made by `job` stay in the namespace; they must not be children
    /// with a parent-death signal (see `Place::spawn`), because the thread ends here.
    pub fn run<T: Send>(&self, job: impl FnOnce() -> T + Send) -> T {
        on_own_thread(|| {
            setns(self.fd(), CloneFlags::CLONE_NEWNET).expect("cannot enter a namespace of ours");
            job()
        })
    }

    /// Runs lines of `ip -batch` inside, for example `addr add 10.77.0.9/16 dev eth0`.
    pub fn ip(&self, batch: &str) -> Result<()> {
        self.feed(&["ip", "-batch", "-"], "iproute2", batch)
    }

    /// Runs lines of `nft -f` inside, for example `delete table inet filter`.
    pub fn nft(&self, batch: &str) -> Result<()> {
        self.feed(&["nft", "-f", "-"], "nftables", batch)
    }

    fn feed(&self, command: &[&str], package: &str, batch: &str) -> Result<()> {
        self.run(|| feed(command, package, batch))
    }

    /// Where other programs find it while this process lives: `nsenter --net=PATH`.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.fd.as_raw_fd()).into()
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        use std::os::fd::AsFd as _;
        self.fd.as_fd()
    }

    pub(crate) fn shared_fd(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.fd)
    }
}

/// A namespace belongs to a thread: what changes its own must not be a thread that is used again.
fn on_own_thread<T: Send>(job: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        scope.spawn(job).join().unwrap_or_else(|reason| panic::resume_unwind(reason))
    })
}

/// Runs a program in this thread's network and gives it `batch` to read.
pub(crate) fn feed(command: &[&str], package: &str, batch: &str) -> Result<()> {
    let name = command[0];
    let mut program = Command::new(name)
        .args(&command[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {name} (Debian package {package})"))?;
    if let Some(mut stdin) = program.stdin.take() {
        // It stops reading at its first error, which it reports below.
        let _ = writeln!(stdin, "{batch}");
    }
    let output = program.wait_with_output();
    let output = output.with_context(|| format!("cannot wait for {name}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name} refused {batch:?}: {}", errors.trim());
    Ok(())
}
