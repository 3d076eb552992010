//! Established connections to a backend that falls silent.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use redirector_common::HealthByte;

use super::Seen;
use super::fixture::{Fixture, Service, address, frontend, wait_until};
use super::server::{Manner, Server};
use crate::vm::report::Outcome;

const LOST: u8 = 1;
const OTHER: u8 = 2;
/// How long a reset may be late, counted from the ejection.
const LATE: Duration = Duration::from_secs(3);

/// A connection that lasts.
struct Held {
    stream: TcpStream,
    backend: SocketAddr,
}

impl Held {
    fn dial() -> Result<Self> {
        let mut stream = TcpStream::connect(frontend(Service::Reset))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut text = [0; 64];
        let length = stream.read(&mut text)?;
        let text = String::from_utf8_lossy(&text[..length]);
        let backend = text.parse().with_context(|| format!("a backend said {text:?}"))?;
        Ok(Self { stream, backend })
    }

    /// A question and its answer.
    fn works(&mut self) -> io::Result<()> {
        self.stream.write_all(b"?")?;
        self.stream.read_exact(&mut [0])
    }

    fn to(backend: u8) -> Result<Self> {
        for _ in 0..60 {
            let held = Self::dial()?;
            if held.backend == address(backend) {
                return Ok(held);
            }
        }
        bail!("60 dials never reached {}", address(backend))
    }
}

pub(super) fn a_silent_backend(fixture: &mut Fixture) -> Seen {
    let start = || Ok((Server::start(LOST, Manner::Holds)?, Server::start(OTHER, Manner::Holds)?));
    let (lost, other) = fixture.apart(start)?;
    wait_until("probes were answered", || Ok(lost.accepted() >= 2 && other.accepted() >= 2))?;
    wait_until("both are usable", || {
        Ok(fixture.byte(LOST, HealthByte::Prober)? | fixture.byte(OTHER, HealthByte::Prober)? == 0)
    })?;
    let (mut cut, mut kept) = (Held::to(LOST)?, Held::to(OTHER)?);
    cut.works().and_then(|()| kept.works()).context("before anything happened")?;

    let _hole = fixture.apart(|| lost.fall_silent(LOST))?;
    wait_until("probes eject it", || Ok(fixture.byte(LOST, HealthByte::Prober)? != 0))?;
    let ejected = Instant::now();
    let error = loop {
        match cut.works() {
            Ok(()) if ejected.elapsed() > LATE => break None,
            Ok(()) => thread::sleep(Duration::from_millis(10)),
            Err(error) => break Some(error),
        }
    };
    let took = ejected.elapsed();
    kept.works().context("the connection to the other backend")?;
    let Some(error) = error else {
        return Ok((Outcome::Absent, format!("it still worked {LATE:?} after the ejection")));
    };
    ensure!(error.raw_os_error() == Some(libc::ECONNABORTED), "{error} and not ECONNABORTED");
    Ok((Outcome::Works, format!("ECONNABORTED {took:.1?} after the ejection")))
}
