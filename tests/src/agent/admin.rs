//! Speaks with an agent's admin endpoint, from within its network.

use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::netns::Netns;

const LONGEST_ANSWER: Duration = Duration::from_secs(5);

/// Returns the status and the body.
pub(super) fn get(netns: &Netns, admin: SocketAddr, path: &str) -> Result<(u16, String)> {
    let answer = netns.run(|| -> io::Result<String> {
        let mut stream = TcpStream::connect(admin)?;
        stream.set_read_timeout(Some(LONGEST_ANSWER))?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    });
    let answer = answer.with_context(|| format!("cannot get {path} of {admin}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.with_context(|| format!("no HTTP status: {head:?}"))?, body.to_owned()))
}

/// A free address in the caller's network. Another process could take it before the agent does, but
/// a network of a test has none.
pub(super) fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    listener.local_addr().context("a listener without address")
}
