//! A connection that is kept: the client writes a byte every 200 ms and reads it back, until an
//! error or the end of the stream tells it that the connection has ended.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use redirector_tests::dialer::now_us;

use crate::race::{attempt::TIMEOUT, cast::Member, replica::ECHO};

/// Between two bytes.
const PERIOD: Duration = Duration::from_millis(200);

/// A connection that was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::race) struct Held {
    /// Who has served it.
    pub(in crate::race) by: Option<Member>,
    /// When the client was told that it has ended: microseconds of the monotonic clock. None: it
    /// lived as long as the client watched.
    pub(in crate::race) ended_us: Option<u64>,
}

impl Held {
    /// Makes one and keeps it until it ends, or `stop`.
    pub(super) fn keep(address: SocketAddr, stop: &AtomicBool) -> Self {
        let mut held = Self { by: None, ended_us: None };
        let Ok(mut stream) = TcpStream::connect_timeout(&address, TIMEOUT) else { return held };
        let mut name = [0; 2];
        let introduced = stream
            .set_read_timeout(Some(TIMEOUT))
            .and_then(|()| stream.write_all(&[ECHO]))
            .and_then(|()| stream.read_exact(&mut name))
            .and_then(|()| stream.set_read_timeout(Some(PERIOD)));
        held.by = introduced.ok().and_then(|()| Member::named(&String::from_utf8_lossy(&name)));
        while held.by.is_some() && !stop.load(Ordering::Relaxed) {
            if stream.write_all(&[ECHO]).is_err() || has_ended(&mut stream) {
                held.ended_us = Some(now_us());
                break;
            }
        }
        held
    }

    /// The line that reports it; none where there was no connection from the start.
    pub(super) fn line(&self) -> Option<String> {
        let ended = self.ended_us.map_or_else(|| "-".to_owned(), |at| at.to_string());
        Some(format!("{} {ended}", self.by?.name()))
    }

    /// What a line says.
    pub(in crate::race) fn parse(line: &str) -> Result<Self> {
        let parsed = line.split_once(' ').and_then(|(name, ended)| {
            let ended_us = if ended == "-" { None } else { Some(ended.parse().ok()?) };
            Some(Self { by: Some(Member::named(name)?), ended_us })
        });
        parsed.with_context(|| format!("no connection that was kept: {line}"))
    }
}

/// Reads for one period.
fn has_ended(stream: &mut TcpStream) -> bool {
    let end = Instant::now() + PERIOD;
    let mut echo = [0; 64];
    loop {
        match stream.read(&mut echo) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => return true,
        }
        let left = end.saturating_duration_since(Instant::now());
        if left < Duration::from_millis(1) {
            return false;
        }
        if stream.set_read_timeout(Some(left)).is_err() {
            return true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_who_served_and_when_it_ended() {
        for ended_us in [None, Some(12)] {
            let held = Held { by: Member::named("a3"), ended_us };
            let line = held.line().expect("it was served");
            assert_eq!(Held::parse(&line).expect("a line of ours"), held);
        }
        assert_eq!(Held { by: None, ended_us: None }.line(), None);
        assert!(Held::parse("z9 -").is_err());
    }
}
