//! The replica that is dialled: a process that answers as fast as it can.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context as _, Result, ensure};
use redirector_tests::{
    netns::Netns,
    place::{Place, Process},
};

/// First argument of the process.
pub const ROLE: &str = "measured-server";
/// Where every backend answers.
pub const PORT: u16 = 8080;
/// Bytes of a request, and of a response.
pub const MESSAGE: usize = 64;
/// First byte of a request after whose response the server closes.
pub const CLOSE: u8 = b'c';
/// First byte of a request that others follow.
pub const KEEP: u8 = b'k';

const READY: &str = "ready";

/// The process. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    _process: Process,
}

impl Server {
    /// Starts one on every address of a namespace and waits until it listens.
    pub fn start(netns: &Netns) -> Result<Self> {
        let mut command = Command::new("/proc/self/exe");
        command.arg(ROLE).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = Process(Place::netns(netns).spawn(command)?);
        let stdout = process.0.stdout.take();
        let server = Self { _process: process };
        let mut line = String::new();
        BufReader::new(stdout.context("no pipe from a server")?)
            .read_line(&mut line)
            .context("cannot read from a server")?;
        ensure!(line.trim() == READY, "a server did not start; see its error above");
        Ok(server)
    }
}

/// The process. Returns only on errors.
pub fn serve() -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).context("cannot listen")?;
    writeln!(io::stdout(), "{READY}").context("nobody waits for this server")?;
    for stream in listener.incoming() {
        // A client that went away is no reason to end.
        let _ = stream.and_then(answer);
    }
    Ok(())
}

/// The server closes first, as one of HTTP/1.0 does: TIME_WAIT stays with it, and a client's ports
/// are free at once.
fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut request = [0; MESSAGE];
    stream.read_exact(&mut request)?;
    if request[0] == CLOSE {
        return stream.write_all(&request);
    }
    stream.set_nodelay(true)?;
    let keep = move || -> io::Result<()> {
        loop {
            stream.write_all(&request)?;
            stream.read_exact(&mut request)?;
        }
    };
    thread::Builder::new().spawn(keep).map(drop)
}
