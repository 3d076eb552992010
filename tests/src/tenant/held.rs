//! Connections that a process keeps open and uses now and then.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result};

use super::Tally;

const LONGEST: Duration = Duration::from_secs(2);
const QUESTION: &[u8; 2] = b"hi";

/// Connections to servers that send back what they receive.
#[derive(Debug, Default)]
pub(super) struct Held(Vec<TcpStream>);

impl Held {
    /// Opens so many more connections to each address.
    pub(super) fn open(&mut self, addresses: &[SocketAddr], times: u32) -> Result<Tally> {
        for address in addresses {
            for _ in 0..times {
                let stream = TcpStream::connect_timeout(address, LONGEST)
                    .with_context(|| format!("no connection to {address}"))?;
                stream.set_read_timeout(Some(LONGEST)).context("no timeout")?;
                self.0.push(stream);
            }
        }
        Ok(self.ask())
    }

    /// Asks on each connection.
    pub(super) fn ask(&self) -> Tally {
        let mut tally = Tally::default();
        for stream in &self.0 {
            match answer(stream) {
                Ok(()) => tally.connected += 1,
                Err(_) => tally.other += 1,
            }
        }
        tally
    }
}

fn answer(mut stream: &TcpStream) -> io::Result<()> {
    stream.write_all(QUESTION)?;
    let mut bytes = [0; QUESTION.len()];
    stream.read_exact(&mut bytes)
}
