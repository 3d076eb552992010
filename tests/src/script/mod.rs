//! The application of a test that uses one socket step by step, as only a script can: connects,
//! sends, disconnects, connects elsewhere, and says what each system call came to.
//!
//! One process runs many scripts. A line on stdin is a list of [`Step`]s, a line on stdout the list
//! of their [`Reply`]s. A test uses [`Scripter`], which starts the process. The socket stays open
//! between scripts until one opens another, so that a test can change the world meanwhile.
//!
//! Nothing here interprets an address: what the kernel shows is compared byte for byte.

mod client;
mod raw;
mod run;

use serde::{Deserialize, Serialize};

pub use client::Scripter;
pub use raw::RawAddress;
pub use run::serve;

/// One thing to do with the socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// Opens a socket and closes the one before.
    Socket(Kind),
    /// `setsockopt` with an `int`: level, name, value.
    Set(i32, i32, i32),
    /// `getsockopt` of an `int`: level, name.
    Get(i32, i32),
    /// `bind`.
    Bind(RawAddress),
    /// `connect`; with [`RawAddress::unspecified`] it disconnects.
    Connect(RawAddress),
    /// Waits for a non-blocking connect to end and asks for its error.
    Await,
    /// `getpeername`.
    Peer,
    /// `getsockname`, with the port left out: the kernel chose it.
    Local,
    /// `send`.
    Send(String),
    /// `sendto`: address, flags, text.
    SendTo(RawAddress, i32, String),
    /// `sendmmsg`: one message per address and text.
    SendMany(Vec<(RawAddress, String)>),
    /// `recvmsg`, once there is something to receive: of TCP everything up to its end.
    Receive,
    /// Waits so many milliseconds and succeeds if there was nothing to receive.
    Silence(u16),
    /// Waits so many milliseconds, whatever comes meanwhile.
    Pause(u16),
    /// `shutdown` of what it sends.
    Shut,
    /// Closes the socket.
    Close,
}

/// The arguments of `socket`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kind {
    /// `AF_INET`, `AF_INET6`, …
    pub domain: i32,
    /// `SOCK_STREAM`, …, perhaps with `SOCK_NONBLOCK`.
    pub kind: i32,
    /// 0, or an IP protocol.
    pub protocol: i32,
}

/// What a step came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It succeeded and says nothing more.
    Done,
    /// The value of an option.
    Value(i32),
    /// Bytes or messages that were sent.
    Sent(usize),
    /// An address.
    Shown(RawAddress),
    /// What was received, and from where.
    Received(String, RawAddress),
    /// It failed. `ETIMEDOUT`: there was nothing to wait for.
    Failed(i32),
}

/// A step's outcome, and how long it took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// What it came to.
    pub outcome: Outcome,
    /// Microseconds.
    pub took_us: u64,
}
