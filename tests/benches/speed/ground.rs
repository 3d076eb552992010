//! Where contenders run: one CPU, and namespaces with nothing but `lo`, a server and their rules.
//!
//! Client, server and proxy share one CPU, so that a time is the work that a dial takes and none
//! of it hides on another core; over `lo`, because every other path costs more for everyone and
//! would make all ratios look better.

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};
use redirector_tests::{
    names::Directory,
    netns::Netns,
    place::{Place, Process},
};

use crate::{
    client::{Addresses, Batch, Client},
    rules,
    server::Server,
    services,
};

/// How long a proxy may take to listen.
const LONGEST_START: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(10);

/// A namespace with a server on every address of it.
#[derive(Debug)]
pub struct Ground {
    proxy: Option<Proxy>,
    _server: Server,
    pub netns: Netns,
}

/// HAProxy and its files. Dropping it ends it.
#[derive(Debug)]
struct Proxy {
    _process: Process,
    _files: Directory,
}

impl Ground {
    /// Backends are local, frontends unreachable.
    pub fn new() -> Result<Self> {
        let netns = Netns::new()?;
        netns.ip(&format!("addr add {}/16 dev lo", services::backend_address(0)))?;
        netns.run(|| {
            // So that no connection meets a port that is still in TIME_WAIT.
            fs::write("/proc/sys/net/ipv4/ip_local_port_range", "16384 65535")
                .context("cannot widen the port range")
        })?;
        Ok(Self { proxy: None, _server: Server::start(&netns)?, netns })
    }

    /// With the rules that kube-proxy would write for iptables.
    pub fn iptables(count: u32) -> Result<Self> {
        Self::ruled("iptables-restore", &[], &rules::iptables(count))
    }

    /// With the rules that kube-proxy would write for nftables.
    pub fn nftables(count: u32) -> Result<Self> {
        Self::ruled("nft", &["-f", "-"], &rules::nftables(count))
    }

    /// With HAProxy at a frontend.
    pub fn haproxy() -> Result<Self> {
        let mut ground = Self::new()?;
        let Addresses { first, port, .. } = services::frontends(1);
        ground.netns.ip(&format!("addr add {first}/32 dev lo"))?;
        let files = Directory::new("haproxy")?;
        let file = files.path().join("haproxy.cfg");
        fs::write(&file, rules::haproxy(first, port)).context("cannot write a configuration")?;
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-q").arg("-f").arg(&file).stdin(Stdio::null());
        let process = Process(Place::netns(&ground.netns).spawn(command)?);
        ground.proxy = Some(Proxy { _process: process, _files: files });
        let deadline = Instant::now() + LONGEST_START;
        let mut client = Client::start(Place::netns(&ground.netns))?;
        while let Err(error) = client.measure(Batch::Exchange, services::frontends(1), 1) {
            ensure!(Instant::now() < deadline, "haproxy does not answer: {error:#}");
            thread::sleep(POLL);
        }
        Ok(ground)
    }

    /// A packet to a frontend needs a route before the rules see it.
    fn ruled(program: &str, arguments: &[&str], rules: &str) -> Result<Self> {
        let ground = Self::new()?;
        ground.netns.ip("route add 10.96.0.0/12 dev lo")?;
        let output = ground.netns.run(|| -> Result<_> {
            let mut process = Command::new(program)
                .args(arguments)
                .stdin(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .with_context(|| format!("cannot run {program}"))?;
            if let Some(mut stdin) = process.stdin.take() {
                // It stops reading at its first error, which it reports below.
                let _ = stdin.write_all(rules.as_bytes());
            }
            process.wait_with_output().with_context(|| format!("cannot wait for {program}"))
        })?;
        if !output.status.success() {
            bail!("{program} refused: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(ground)
    }
}

/// Binds this process and all that it starts to one CPU, before others there, and says which.
pub fn keep_to_one_cpu() -> Result<usize> {
    /// Highest: a neighbour's time slice in the middle of a batch would be measured as ours.
    const PRIORITY: i32 = -20;
    let allowed = sched_getaffinity(Pid::from_raw(0)).context("cannot ask for the CPUs")?;
    let cpu = (0..CpuSet::count()).rev().find(|cpu| allowed.is_set(*cpu).unwrap_or(false));
    let cpu = cpu.context("no CPU is allowed")?;
    let mut one = CpuSet::new();
    one.set(cpu)?;
    sched_setaffinity(Pid::from_raw(0), &one).context("cannot bind to one CPU")?;
    // SAFETY: the call takes numbers. Where it is refused the numbers are noisier, that is all.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, PRIORITY) };
    Ok(cpu)
}
