//! Where the answer to an order goes, and whether its client still waits for it.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::sync::oneshot;

/// A client's end of a connection to the control socket, seen from the agent.
#[derive(Clone, Debug)]
pub(super) struct Caller(Arc<OwnedFd>);

impl Caller {
    /// Who is at the other end of that socket.
    ///
    /// # Errors
    ///
    /// There are too few descriptors.
    pub(super) fn of(socket: &impl AsFd) -> io::Result<Self> {
        Ok(Self(Arc::new(socket.as_fd().try_clone_to_owned()?)))
    }

    /// Whether it has closed its socket, as a process that ends does. One that has only said that
    /// it will ask nothing more still waits.
    fn has_hung_up(&self) -> bool {
        let mut asked = [PollFd::new(self.0.as_fd(), PollFlags::empty())];
        // Nothing can be read from that; then it is taken for one that waits.
        let _ = poll(&mut asked, PollTimeout::ZERO);
        asked[0].revents().is_some_and(|events| events.contains(PollFlags::POLLHUP))
    }
}

/// A client that waits for the answer to an order.
///
/// A client that gives up is told that its order is not in force. So it must not come into force
/// later, when an agent goes on that was stopped, or was busy.
#[derive(Debug)]
pub struct Asker<T> {
    answer: oneshot::Sender<T>,
    caller: Caller,
}

impl<T> Asker<T> {
    pub(super) fn new(answer: oneshot::Sender<T>, caller: Caller) -> Self {
        Self { answer, caller }
    }

    /// Whether it still waits.
    #[must_use]
    pub fn waits(&self) -> bool {
        !self.answer.is_closed() && !self.caller.has_hung_up()
    }

    /// Has the answer sent.
    pub fn answer(self, answer: T) {
        // It has given up by now: `orders` will show what is in force.
        let _ = self.answer.send(answer);
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, net::Shutdown, os::unix::net::UnixStream};

    use super::*;

    #[test]
    fn a_client_that_is_gone_is_told_from_one_that_waits() {
        let (mut client, server) = UnixStream::pair().expect("sockets");
        let (answer, _receiver) = oneshot::channel::<()>();
        let asker = Asker::new(answer, Caller::of(&server).expect("a descriptor"));
        assert!(asker.waits());
        client.write_all(b"an order").expect("written");
        client.shutdown(Shutdown::Write).expect("half closed");
        assert!(asker.waits(), "it has asked all it wants, and reads");
        drop(client);
        assert!(!asker.waits());
    }

    #[test]
    fn a_connection_that_was_cut_off_waits_no_more() {
        let (_client, server) = UnixStream::pair().expect("sockets");
        let (answer, receiver) = oneshot::channel::<()>();
        let asker = Asker::new(answer, Caller::of(&server).expect("a descriptor"));
        drop(receiver);
        assert!(!asker.waits());
    }
}
