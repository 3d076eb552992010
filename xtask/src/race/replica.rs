//! A replica of the race: a process that answers what it is asked with its name, or echoes.
//!
//! It differs from the replica of the suites in two ways: it echoes on connections that are kept,
//! and its backlog is never full, so that a stopped one accepts for as long as the race lasts.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    sys::{
        signal::{Signal, kill},
        socket::{Backlog, listen},
    },
    unistd::Pid,
};
use redirector_tests::{
    netns::Netns,
    place::{Place, Process},
};

use super::cast::Member;

/// The first byte of a connection that is kept: each byte comes back.
pub(super) const ECHO: u8 = b'E';
/// Connections that wait to be accepted, at most.
const BACKLOG: &str = "65535";
/// Connections that are served at the same time, besides those that are kept.
const THREADS: usize = 48;
/// A client that asks nothing is dropped after this long.
const LONGEST_REQUEST: Duration = Duration::from_secs(5);
const READY: &str = "ready";

/// A replica's process. Dropping it kills the process.
#[derive(Debug)]
pub(super) struct Replica {
    member: Member,
    netns: Netns,
    process: Option<Process>,
}

impl Replica {
    /// Starts it on its node and waits until it listens.
    pub(super) fn start(member: Member, netns: &Netns) -> Result<Self> {
        // Without, the kernel cuts the backlog down to 4,096.
        let limit = netns.run(|| fs::write("/proc/sys/net/core/somaxconn", BACKLOG));
        limit.context("cannot raise somaxconn of a namespace")?;
        let mut replica = Self { member, netns: netns.clone(), process: None };
        replica.restart()?;
        Ok(replica)
    }

    /// Starts it again at the same address.
    pub(super) fn restart(&mut self) -> Result<()> {
        self.kill();
        let mut command = Command::new("/proc/self/exe");
        let (name, address) = (self.member.name(), self.member.address().to_string());
        command.args(["race-part", "replica", &name, &address]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = Process(Place::netns(&self.netns).spawn(command)?);
        let mut line = String::new();
        if let Some(stdout) = process.0.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).context("cannot read from a replica")?;
        }
        ensure!(line.trim() == READY, "replica {name} did not start; see its error above");
        self.process = Some(process);
        Ok(())
    }

    /// Kills it (SIGKILL).
    pub(super) fn kill(&mut self) {
        self.process = None;
    }

    /// Stops it where it is (SIGSTOP).
    pub(super) fn freeze(&self) -> Result<()> {
        let process = self.process.as_ref().context("a dead replica cannot be stopped")?;
        kill(Pid::from_raw(process.0.id().cast_signed()), Signal::SIGSTOP)
            .context("cannot stop a replica")
    }
}

/// The process: `race-part replica NAME ADDRESS`. Returns only on errors.
pub(super) fn play(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let usage = "usage: replica NAME ADDRESS";
    let (name, address) = (arguments.next().context(usage)?, arguments.next().context(usage)?);
    let address: SocketAddr = address.parse().context(usage)?;
    let listener = TcpListener::bind(address).with_context(|| format!("cannot serve {address}"))?;
    listen(&listener, Backlog::MAXALLOWABLE).context("cannot widen the backlog")?;
    let (listener, name) = (Arc::new(listener), Arc::new(name));
    let servers: Vec<_> = (0..THREADS)
        .map(|_| {
            let (listener, name) = (Arc::clone(&listener), Arc::clone(&name));
            thread::spawn(move || serve(&listener, &name))
        })
        .collect();
    writeln!(io::stdout(), "{READY}").context("the race has ended")?;
    for server in servers {
        let _ = server.join();
    }
    Ok(())
}

fn serve(listener: &TcpListener, name: &Arc<String>) {
    for stream in listener.incoming().flatten() {
        // The client may be gone: a probe only connects.
        let _ = answer(stream, name);
    }
}

/// Reads until the client closes: closing with unread bytes would reset the connection and could
/// take the answer away.
fn answer(mut stream: TcpStream, name: &Arc<String>) -> io::Result<()> {
    stream.set_read_timeout(Some(LONGEST_REQUEST))?;
    let mut request = [0; 1024];
    let length = stream.read(&mut request)?;
    if request[..length].first() == Some(&ECHO) {
        let name = Arc::clone(name);
        // Without a thread the connection ends, which the race would show.
        let _ = thread::Builder::new().stack_size(128 << 10).spawn(move || echo(stream, &name));
        return Ok(());
    }
    if length == 0 {
        return Ok(());
    }
    let length = name.len() + 1;
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close";
    stream.write_all(format!("{head}\r\nContent-Length: {length}\r\n\r\n{name}\n").as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    while stream.read(&mut request)? > 0 {}
    Ok(())
}

fn echo(mut stream: TcpStream, name: &str) -> io::Result<()> {
    stream.set_read_timeout(None)?;
    stream.write_all(name.as_bytes())?;
    let mut bytes = [0; 64];
    loop {
        let length = stream.read(&mut bytes)?;
        if length == 0 {
            return Ok(());
        }
        stream.write_all(&bytes[..length])?;
    }
}
