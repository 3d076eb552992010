//! The application that is measured: a process in a cgroup and a namespace that dials in batches.
//!
//! It is told what to do by one JSON value a line on stdin and answers with the nanoseconds that
//! the batch took, or with why a dial failed. Nothing but the dials is inside the measured time.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddrV4, TcpStream},
    os::fd::{AsRawFd as _, OwnedFd},
    process::{ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, connect, socket};
use redirector_tests::place::{Place, Process};
use serde::{Deserialize, Serialize};

use crate::server::{CLOSE, KEEP, MESSAGE};

/// First argument of the process.
pub const ROLE: &str = "measured-client";
/// A dial that takes longer has failed.
const LONGEST: Duration = Duration::from_secs(5);

/// Addresses in a row, with one port. Each dial takes one of them at random.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Addresses {
    pub first: Ipv4Addr,
    pub count: u32,
    pub port: u16,
}

/// A batch.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum Batch {
    /// `socket`, `connect`, `close`: UDP, so that nothing but the connect is in it.
    UdpFresh,
    /// `connect` again and again on one UDP socket.
    UdpReused,
    /// TCP: connect, request, response, close.
    Exchange,
    /// TCP: request, response on one connection.
    RequestResponse,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Order {
    batch: Batch,
    to: Addresses,
    times: u32,
}

/// Nanoseconds of the whole batch, or why a dial failed.
type Answer = Result<u64, String>;

/// The process, and the way to talk to it. Dropping it kills the process.
#[derive(Debug)]
pub struct Client {
    _process: Process,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Client {
    pub fn start(place: Place<'_>) -> Result<Self> {
        let mut command = Command::new("/proc/self/exe");
        command.arg(ROLE).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process(place.spawn(command)?);
        let (orders, answers) = (process.0.stdin.take(), process.0.stdout.take());
        Ok(Self {
            _process: process,
            orders: orders.context("no pipe to a client")?,
            answers: BufReader::new(answers.context("no pipe from a client")?),
        })
    }

    /// Nanoseconds per dial (or request) of one batch.
    pub fn measure(&mut self, batch: Batch, to: Addresses, times: u32) -> Result<f64> {
        let mut line = serde_json::to_string(&Order { batch, to, times })?;
        line.push('\n');
        self.orders.write_all(line.as_bytes()).context("a client is gone")?;
        let mut line = String::new();
        self.answers.read_line(&mut line).context("a client is gone")?;
        let answer: Answer =
            serde_json::from_str(&line).with_context(|| format!("a client said {line:?}"))?;
        let nanoseconds = answer.map_err(|why| anyhow!("{batch:?} failed: {why}"))?;
        Ok(nanoseconds as f64 / f64::from(times))
    }
}

/// The process. Ends with its input.
pub fn serve() -> Result<()> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for line in io::stdin().lock().lines() {
        let order: Order = serde_json::from_str(&line.context("no orders")?)?;
        let answer: Answer = run(order, &mut random).map_err(|error| format!("{error:#}"));
        let mut line = serde_json::to_string(&answer)?;
        line.push('\n');
        io::stdout().write_all(line.as_bytes()).context("nobody reads")?;
    }
    Ok(())
}

fn run(order: Order, random: &mut Random) -> Result<u64> {
    let Order { batch, to, times } = order;
    // Chosen before the clock starts.
    let targets: Vec<SocketAddrV4> = (0..times).map(|_| to.one(random)).collect();
    match batch {
        Batch::UdpFresh => timed(&targets, |target| {
            let socket = new_socket(SockType::Datagram)?;
            Ok(connect(socket.as_raw_fd(), &SockaddrIn::from(*target))?)
        }),
        Batch::UdpReused => {
            let socket = new_socket(SockType::Datagram)?;
            timed(&targets, |target| Ok(connect(socket.as_raw_fd(), &SockaddrIn::from(*target))?))
        }
        Batch::Exchange => timed(&targets, |target| {
            let socket = new_socket(SockType::Stream)?;
            connect(socket.as_raw_fd(), &SockaddrIn::from(*target))?;
            let mut stream = TcpStream::from(socket);
            stream.write_all(&[CLOSE; MESSAGE])?;
            let mut response = [0; 2 * MESSAGE];
            let mut length = 0;
            loop {
                match stream.read(&mut response)? {
                    0 if length == MESSAGE => return Ok(()),
                    0 => bail!("{length} bytes of a response of {MESSAGE}"),
                    more => length += more,
                }
            }
        }),
        Batch::RequestResponse => {
            let mut stream = TcpStream::connect_timeout(&to.one(random).into(), LONGEST)?;
            stream.set_nodelay(true)?;
            // The first one lets the server see what it is in for.
            request(&mut stream)?;
            timed(&targets, |_| request(&mut stream))
        }
    }
}

fn timed(
    targets: &[SocketAddrV4],
    mut dial: impl FnMut(&SocketAddrV4) -> Result<()>,
) -> Result<u64> {
    let begin = Instant::now();
    for target in targets {
        dial(target).with_context(|| format!("to {target}"))?;
    }
    Ok(u64::try_from(begin.elapsed().as_nanos())?)
}

fn new_socket(kind: SockType) -> Result<OwnedFd> {
    Ok(socket(AddressFamily::Inet, kind, SockFlag::SOCK_CLOEXEC, None)?)
}

fn request(stream: &mut TcpStream) -> Result<()> {
    let mut response = [0; MESSAGE];
    stream.write_all(&[KEEP; MESSAGE])?;
    Ok(stream.read_exact(&mut response)?)
}

impl Addresses {
    fn one(&self, random: &mut Random) -> SocketAddrV4 {
        let number = (u64::from(random.next()) * u64::from(self.count)) >> 32;
        SocketAddrV4::new(Ipv4Addr::from(u32::from(self.first) + number as u32), self.port)
    }
}

/// Xorshift: the same draws in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u32
    }
}
