//! One attempt of a client: what it came to, and the line that its process reports it by.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use nix::sys::socket::{setsockopt, sockopt};
use redirector_tests::dialer::now_us;

use super::cast::Member;

/// How long an attempt may take in all: connect, request, and the first byte of the reply.
pub(super) const TIMEOUT: Duration = Duration::from_secs(3);
const REQUEST: &[u8] = b"GET / HTTP/1.0\r\n\r\n";

/// What an attempt came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attempt {
    /// When it began: microseconds of the monotonic clock.
    pub(super) at_us: u64,
    /// Until the first byte of the reply, or until it was clear that none would come.
    pub(super) took_us: u64,
    pub(super) outcome: Result<Option<Member>, Step>,
}

/// How far an attempt came that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// There was no connection in time.
    Connect,
    /// There was a connection, and no byte of a reply in time.
    Reply,
}

impl Attempt {
    /// Makes one. Takes [`TIMEOUT`] at most.
    pub(super) fn make(address: SocketAddr) -> Self {
        let (at_us, begin) = (now_us(), Instant::now());
        let (outcome, stream) = match connect_and_ask(address, begin) {
            Ok(stream) => (Ok(None), Some(stream)),
            Err(step) => (Err(step), None),
        };
        let took_us = u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX);
        let Some((stream, first)) = stream else { return Self { at_us, took_us, outcome } };
        Self { at_us, took_us, outcome: Ok(name(stream, first, begin)) }
    }

    /// The line that reports it.
    pub(super) fn line(&self) -> String {
        let Self { at_us, took_us, outcome } = self;
        match outcome {
            Ok(Some(member)) => format!("{at_us} {took_us} answered {}", member.name()),
            Ok(None) => format!("{at_us} {took_us} answered ?"),
            Err(Step::Connect) => format!("{at_us} {took_us} connect -"),
            Err(Step::Reply) => format!("{at_us} {took_us} reply -"),
        }
    }

    /// What a line says.
    pub(super) fn parse(line: &str) -> Result<Self> {
        let fields: Vec<_> = line.split(' ').collect();
        let parsed = match fields[..] {
            [at, took, outcome, name] => {
                let outcome = match outcome {
                    "answered" => Some(Ok(Member::named(name))),
                    "connect" => Some(Err(Step::Connect)),
                    "reply" => Some(Err(Step::Reply)),
                    _ => None,
                };
                at.parse().ok().zip(took.parse().ok()).zip(outcome)
            }
            _ => None,
        };
        let ((at_us, took_us), outcome) = parsed.with_context(|| format!("no attempt: {line}"))?;
        Ok(Self { at_us, took_us, outcome })
    }

    /// Whether no byte of a reply came.
    pub(super) fn has_failed(&self) -> bool {
        self.outcome.is_err()
    }

    /// When it ended.
    pub(super) fn end_us(&self) -> u64 {
        self.at_us + self.took_us
    }

    /// Whether a replica of the clients' zone has answered.
    pub(super) fn is_near(&self) -> bool {
        matches!(self.outcome, Ok(Some(member)) if member.is_near())
    }
}

/// Returns the connection and the first byte of the reply.
fn connect_and_ask(address: SocketAddr, begin: Instant) -> Result<(TcpStream, u8), Step> {
    let connected = TcpStream::connect_timeout(&address, left(begin));
    let mut stream = connected.map_err(|_| Step::Connect)?;
    let mut first = [0];
    stream
        .write_all(REQUEST)
        .and_then(|()| stream.set_read_timeout(Some(left(begin))))
        .and_then(|()| stream.read_exact(&mut first))
        .map_err(|_: io::Error| Step::Reply)?;
    Ok((stream, first[0]))
}

/// Reads the rest of the reply: the replica's name is its last line.
fn name(mut stream: TcpStream, first: u8, begin: Instant) -> Option<Member> {
    let mut text = vec![first];
    // What is cut short has no name; the attempt has succeeded all the same.
    let _ = stream.set_read_timeout(Some(left(begin))).and_then(|()| stream.read_to_end(&mut text));
    // Reset instead of closed: thousands of sockets waiting would change the later attempts.
    let at_once = nix::libc::linger { l_onoff: 1, l_linger: 0 };
    let _ = setsockopt(&stream, sockopt::Linger, &at_once);
    Member::named(String::from_utf8_lossy(&text).lines().last()?)
}

/// What is left of the time; zero would mean for ever.
fn left(begin: Instant) -> Duration {
    TIMEOUT.saturating_sub(begin.elapsed()).max(Duration::from_millis(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_the_attempt_was() {
        let outcomes = [Ok(Member::named("b2")), Ok(None), Err(Step::Connect), Err(Step::Reply)];
        for outcome in outcomes {
            let attempt = Attempt { at_us: 7, took_us: 9, outcome };
            assert_eq!(Attempt::parse(&attempt.line()).expect("a line of ours"), attempt);
        }
        assert!(Attempt::parse("7 9 served b2").is_err());
        assert!(Attempt::parse("").is_err());
    }
}
