//! What the kernel knows of a backend's answers, and what a connection that ends shows of the last one.
//!
//! Times are the kernel's own, in jiffies of 32 bits: what is compared are ages, so that a clock that
//! wraps makes nothing old new for longer than the time compared.

use bytemuck::{Pod, Zeroable};

/// What `ANSWERS` holds for a backend: zero while nothing is known. Each member is stored whole.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct AnswerValue {
    /// When a client last received something of it, as far as closed sockets show; with
    /// [`UNANSWERED`](Self::UNANSWERED) when the first request went out that was not answered since.
    pub heard: u32,
    /// The longest that an answer took, in jiffies, at most [`LONGEST_WAIT`] times the least bound. The
    /// agent halves it now and then.
    pub wait: u16,
    /// [`ANSWERED`](Self::ANSWERED), [`SPEAKS_FIRST`](Self::SPEAKS_FIRST),
    /// [`UNANSWERED`](Self::UNANSWERED).
    pub flags: u8,
    /// Always 0.
    pub _pad: u8,
}

const _: () = assert!(size_of::<AnswerValue>() == 8);

/// What `wait` never exceeds, in least bounds of 250 ms: a minute, 60,000 jiffies at most. What takes longer is
/// a stream, and no answer.
pub const LONGEST_WAIT: u32 = 240;

impl AnswerValue {
    /// A client has received something: its silence means something from then on.
    pub const ANSWERED: u8 = 1;
    /// A client that had sent nothing has received something.
    pub const SPEAKS_FIRST: u8 = 1 << 1;
    /// A request was not answered, and no client has received anything since.
    pub const UNANSWERED: u8 = 1 << 2;

    /// Jiffies without an answer from which on a request has gone unanswered: four times what an
    /// answer took at the longest, and not less than `least`.
    #[inline(always)]
    #[must_use]
    pub const fn bound(wait: u16, least: u32) -> u32 {
        let bound = 4 * wait as u32;
        if bound > least { bound } else { least }
    }
}

/// What a socket shows of its connection at the moment in which its last owner closes it. Ages are in
/// jiffies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// As the kernel numbers them; a close that comes now has not changed it yet.
    pub state: u32,
    /// `sk_err`; 0 is none.
    pub error: u32,
    /// Bytes that were acknowledged; the SYN and a FIN count as one each.
    pub acked: u64,
    /// Bytes that were received; a FIN counts as one.
    pub received: u64,
    /// Bytes that were written and not acknowledged; a FIN counts as one.
    pub outstanding: u32,
    /// Since it last sent something, or else since it was connected.
    pub sent: u32,
    /// Since it last received something, or else since it was connected.
    pub heard: u32,
}

const ESTABLISHED: u32 = 1;
const FIN_WAIT1: u32 = 4;
const FIN_WAIT2: u32 = 5;

impl Ending {
    /// Whether the peer has sent anything but the end of the connection.
    #[inline(always)]
    #[must_use]
    pub const fn has_heard(&self) -> bool {
        let has_peer_ended = !matches!(self.state, ESTABLISHED | FIN_WAIT1 | FIN_WAIT2);
        self.received > has_peer_ended as u64
    }

    /// Whether the client has sent anything but the end of the connection.
    #[inline(always)]
    #[must_use]
    pub const fn has_sent(&self) -> bool {
        // Of later states it is not asked.
        self.acked > 1 + (self.state == FIN_WAIT2) as u64
    }

    /// How long the last answer took; `None` if what was sent last has none.
    #[inline(always)]
    #[must_use]
    pub const fn wait(&self) -> Option<u32> {
        if self.has_heard() && self.heard < self.sent { Some(self.sent - self.heard) } else { None }
    }

    /// Whether the client goes without having been answered: the connection stands, all that was sent
    /// has arrived, and nothing came since. One that sent nothing waits for an answer only where the
    /// server speaks first. What came in the jiffy of the last request may be the answer to it.
    #[inline(always)]
    #[must_use]
    pub const fn is_unanswered(&self, speaks_first: bool) -> bool {
        let stands = matches!(self.state, ESTABLISHED | FIN_WAIT1 | FIN_WAIT2) && self.error == 0;
        let has_arrived = self.outstanding <= (self.state == FIN_WAIT1) as u32;
        let waits = self.has_sent() || speaks_first && !self.has_heard();
        stands && has_arrived && waits && (self.heard > self.sent || !self.has_heard())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOSE: u32 = 7;
    const CLOSE_WAIT: u32 = 8;

    /// A request of three bytes half a second ago, in ticks of 4 ms, and nothing since.
    const HUNG: Ending = Ending {
        state: ESTABLISHED,
        error: 0,
        acked: 4,
        received: 0,
        outstanding: 0,
        sent: 125,
        heard: 125,
    };

    /// What sockets showed on Linux 6.18.
    #[test]
    fn who_was_answered_is_told_from_who_was_not() {
        let cases = [
            ("hung", HUNG, true),
            (
                "shut down and closed at once",
                Ending { state: FIN_WAIT1, outstanding: 1, ..HUNG },
                true,
            ),
            (
                "half closed",
                Ending { state: FIN_WAIT2, acked: 5, sent: 126, heard: 126, ..HUNG },
                true,
            ),
            ("the second request", Ending { received: 2, acked: 5, heard: 200, ..HUNG }, true),
            (
                "answered after a half close",
                Ending { state: CLOSE, received: 4, heard: 0, sent: 0, ..HUNG },
                false,
            ),
            ("answered", Ending { received: 3, heard: 0, sent: 1, ..HUNG }, false),
            ("answered at once, then kept open", Ending { received: 3, ..HUNG }, false),
            ("a farewell", Ending { received: 2, acked: 3, sent: 0, heard: 75, ..HUNG }, true),
            ("ended without a word", Ending { state: CLOSE_WAIT, received: 1, ..HUNG }, false),
            ("reset", Ending { state: CLOSE, error: 104, ..HUNG }, false),
            ("nothing sent", Ending { acked: 1, ..HUNG }, false),
            ("nothing sent, half closed", Ending { state: FIN_WAIT2, acked: 2, ..HUNG }, false),
            ("under way", Ending { outstanding: 3, ..HUNG }, false),
        ];
        for (what, ending, is_unanswered) in cases {
            assert_eq!(ending.is_unanswered(false), is_unanswered, "{what}");
        }
        // Whose farewell is that fresh is told by the time alone.
        assert!(cases[7].1.sent < AnswerValue::bound(0, 62));
    }

    #[test]
    fn who_sent_nothing_waits_for_a_server_that_speaks_first() {
        let silent = Ending { acked: 1, ..HUNG };
        assert!(silent.is_unanswered(true) && !silent.is_unanswered(false));
        let greeted = Ending { received: 80, heard: 124, ..silent };
        assert!(!greeted.is_unanswered(true) && greeted.has_heard());
    }

    #[test]
    fn an_end_alone_is_no_answer() {
        let ended = Ending { state: CLOSE_WAIT, received: 1, heard: 0, ..HUNG };
        assert!(!ended.has_heard() && ended.wait().is_none());
        let answered = Ending { received: 3, heard: 5, ..ended };
        assert_eq!(answered.wait(), Some(120));
        let pooled = Ending { received: 30, heard: 90, sent: 91, state: ESTABLISHED, ..HUNG };
        assert_eq!(pooled.wait(), Some(1));
    }

    #[test]
    fn who_answers_late_has_longer() {
        assert_eq!(AnswerValue::bound(3, 62), 62);
        assert_eq!(AnswerValue::bound(2_500, 62), 10_000);
        assert_eq!(AnswerValue::bound(u16::MAX, 62), 262_140);
    }
}
