//! A replica of a service: a process on a node that answers with its name.
//!
//! The guard's half starts and kills it; `serve` is what the process does. It answers TCP with a
//! small HTTP response, so that curl and HTTP probes work, and UDP with its name and an echo.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsFd as _,
    process::Stdio,
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::{
    poll::{PollFd, PollFlags, poll},
    sys::{
        signal::{Signal, kill},
        wait::{Id, WaitPidFlag, WaitStatus, waitid},
    },
    unistd::Pid,
};

use crate::{
    netns::Netns,
    place::{Place, Process},
    programs::{self, Role},
};

/// What the process prints once it listens everywhere.
pub(crate) const READY: &str = "ready";
/// A client that does not go away is dropped after this long.
const LONGEST_REQUEST: Duration = Duration::from_secs(5);
/// Milliseconds. A client that asks nothing is answered all the same, this much later.
const LONGEST_QUESTION: u8 = 100;

/// A replica on TCP and UDP. Dropping it kills the process.
#[derive(Debug)]
pub struct Replica {
    name: String,
    addresses: Vec<SocketAddr>,
    netns: Netns,
    process: Option<Process>,
}

impl Replica {
    /// Starts one and waits until it listens. The name is what it answers with; one line.
    pub fn start(netns: &Netns, name: &str, addresses: &[SocketAddr]) -> Result<Self> {
        let mut replica = Self {
            name: name.to_owned(),
            addresses: addresses.to_owned(),
            netns: netns.clone(),
            process: None,
        };
        replica.restart()?;
        Ok(replica)
    }

    /// What it answers with.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it listens, also while it is dead.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Starts it again on the same addresses. Kills it first if it still runs.
    pub fn restart(&mut self) -> Result<()> {
        self.kill();
        let mut command = programs::command(Role::Replica)?;
        command.arg(&self.name).args(self.addresses.iter().map(SocketAddr::to_string));
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let process = Process(Place::netns(&self.netns).spawn(command)?);
        let process = &mut self.process.insert(process).0;
        let mut line = String::new();
        if let Some(stdout) = process.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).context("cannot read from a replica")?;
        }
        ensure!(line.trim() == READY, "replica {} did not start; see its error above", self.name);
        Ok(())
    }

    /// Kills the process (SIGKILL). From now on its node refuses connections to it.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Whether its process lives: another process may have killed it.
    #[must_use]
    pub fn is_running(&self) -> bool {
        let Some(pid) = self.pid() else { return false };
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        waitid(Id::Pid(Pid::from_raw(pid.cast_signed())), flags) == Ok(WaitStatus::StillAlive)
    }

    /// Its process id, from a start to a `kill`.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(|process| process.0.id())
    }

    /// Stops it from answering (SIGSTOP). Connections to it are still accepted by the kernel until
    /// its queue is full.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// Lets it go on.
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let Some(pid) = self.pid() else { bail!("replica {} does not run", self.name) };
        kill(Pid::from_raw(pid.cast_signed()), signal)
            .with_context(|| format!("cannot send {signal} to replica {}", self.name))
    }
}

/// The process: `replica NAME ADDRESS…`, without the program's own name. Returns only on errors.
pub fn serve(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let name = arguments.next().context("usage: replica NAME ADDRESS…")?;
    let mut servers = Vec::new();
    for address in arguments {
        let address: SocketAddr =
            address.parse().with_context(|| format!("{address} is no socket address"))?;
        servers.extend(answer_at(address, &name)?);
    }
    writeln!(io::stdout(), "{READY}").context("nobody waits for this replica")?;
    for server in servers {
        let _ = server.join();
    }
    Ok(())
}

/// Answers with that name at an address, TCP and UDP, on threads that end with the process.
pub(crate) fn answer_at(address: SocketAddr, name: &str) -> Result<[JoinHandle<()>; 2]> {
    let tcp = TcpListener::bind(address).with_context(|| format!("cannot serve {address}"))?;
    let udp = UdpSocket::bind(address).with_context(|| format!("cannot serve {address}"))?;
    let (response, name) = (response(name), name.to_owned());
    let tcp = thread::spawn(move || serve_tcp(&tcp, &response));
    Ok([tcp, thread::spawn(move || serve_udp(&udp, &name))])
}

pub(crate) fn response(name: &str) -> String {
    let length = name.len() + 1;
    format!(
        "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{name}\n"
    )
}

fn serve_tcp(listener: &TcpListener, response: &str) {
    for stream in listener.incoming().flatten() {
        answer_apart(stream, response);
    }
}

/// Answers on a thread of its own.
pub(crate) fn answer_apart(stream: TcpStream, response: &str) {
    let response = response.to_owned();
    let answer = move || {
        // The client may be gone: a probe only connects.
        let _ = answer(stream, &response);
    };
    // Without a thread the connection is dropped: the client sees it, as with a real overload.
    let _ = thread::Builder::new().stack_size(64 << 10).spawn(answer);
}

/// Answers once it is asked, whatever the question: to HTTP clients an answer that comes first is
/// an error. Then reads until the client closes: closing with unread bytes would reset the
/// connection and could take the answer away from the client.
fn answer(mut stream: TcpStream, response: &str) -> io::Result<()> {
    stream.set_read_timeout(Some(LONGEST_REQUEST))?;
    poll(&mut [PollFd::new(stream.as_fd(), PollFlags::POLLIN)], LONGEST_QUESTION)?;
    stream.write_all(response.as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    let mut request = [0; 1024];
    while stream.read(&mut request)? > 0 {}
    Ok(())
}

fn serve_udp(socket: &UdpSocket, name: &str) {
    let mut datagram = [0; 2048];
    loop {
        // Errors here are those of earlier answers whose client is gone.
        if let Ok((length, client)) = socket.recv_from(&mut datagram) {
            let answer = [name.as_bytes(), b"\n", &datagram[..length]].concat();
            let _ = socket.send_to(&answer, client);
        }
    }
}
