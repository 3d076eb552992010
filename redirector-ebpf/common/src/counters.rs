//! Why a program ended the way it did: one named counter for each exit.

use crate::MAX_TIERS;

macro_rules! reasons {
    ($( $(#[$doc:meta])* $name:ident = $text:literal ),+ $(,)?) => {
        /// Why a program ended as it did, or what it met on the way. The number is the index of
        /// its counter in `COUNTERS`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u32)]
        pub enum Reason { $( $(#[$doc])* $name ),+ }

        impl Reason {
            /// In the order of their numbers.
            pub const ALL: &'static [Self] = &[ $( Self::$name ),+ ];

            /// Snake case, the label of the metric.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $( Self::$name => $text ),+ }
            }
        }
    };
}

reasons! {
    /// The address is no frontend: untouched.
    NotService = "not_service",
    /// Neither TCP nor UDP: untouched.
    OtherProtocol = "other_protocol",
    /// The frontend has no table yet: untouched.
    Unpublished = "unpublished",
    /// A table does not fit its word, or an index lies outside a map: untouched.
    Inconsistent = "inconsistent",
    /// The service has no backends in this family: refused.
    NoBackends = "no_backends",
    /// The service has no backends that this node may use: refused as unreachable.
    Unreachable = "unreachable",
    /// An unusable backend was chosen, because none is usable: the policy is `Panic`, or no probe has
    /// confirmed what clients say of it.
    AllDownPanic = "all_down_panic",
    /// No usable backend, policy `Refuse`: refused.
    AllDownRefused = "all_down_refused",
    /// No usable backend, policy `PassThrough`: untouched.
    AllDownPassed = "all_down_passed",
    /// Sampling met only unusable backends: the bounded walk was asked.
    Scanned = "scanned",
    /// So did the walk, and there are more: the later tiers were asked.
    Beyond = "beyond",
    /// There may be an earlier choice to resume (session affinity, UDP): its program was asked.
    Undecided = "undecided",
    /// There was none, or it does not hold any more: a new choice was made.
    Unheld = "unheld",
    /// The earlier backend of the socket (UDP) or of the client (session affinity) was used again.
    Resumed = "resumed",
    /// Redirected, but the kernel had no memory to remember it for this socket.
    NotRemembered = "not_remembered",
    /// A UDP socket with more than 8 service destinations: the one used least recently was forgotten.
    Forgotten = "forgotten",
    /// A peer or source address was shown as the service address.
    Translated = "translated",
    /// A datagram to a host that has the address of a frontend, and wrote first: an answer, untouched.
    /// So is what a connected socket sends to its own peer by name.
    Answer = "answer",
    /// The backend drawn was the UDP socket itself: another one was looked for. If there is none:
    /// untouched.
    Itself = "itself",
    /// There has been no agent for too long, and kube-proxy serves the address too: untouched.
    AgentGone = "agent_gone",
    /// While the agent is silent a backend was drawn that only the kernel has ejected: the program
    /// that may try it was asked.
    Trial = "trial",
    /// None was due: a choice was made as ever.
    Untried = "untried",
    /// It was tried.
    Tried = "tried",
    /// A redirected connect was refused, had no route, or timed out.
    ConnectFailed = "connect_failed",
    /// The first SYN of a redirected connect was not answered in time.
    ConnectUnanswered = "connect_unanswered",
    /// A backend was drawn that some client avoids: the program that knows whether it is this one was
    /// asked.
    AvoidAsked = "avoid_asked",
    /// It was this one: another backend was drawn.
    Avoided = "avoided",
    /// This client avoids all that are usable: a choice was made as if it avoided none.
    AvoidsAll = "avoids_all",
    /// The end of a redirected connect was not seen before its socket was closed: another program of
    /// this hook (`sock_ops`) took the callbacks away.
    Unseen = "unseen",
    /// A client began to avoid a backend, or went on after a trial that failed.
    AvoidBegun = "avoid_begun",
    /// There was no room to note that a client's connect failed.
    AvoidFull = "avoid_full",
    /// The kernel ejected a backend, because several clients saw it fail.
    Ejected = "ejected",
    /// The kernel re-admitted one, while the agent was silent.
    Readmitted = "readmitted",
    /// There was no room for an event.
    EventLost = "event_lost",
    /// A redirected connection was closed by a client that its backend, which has answered others, did not answer in time.
    RequestUnanswered = "request_unanswered",
}

/// First of the [`MAX_TIERS`] counters of selections per tier, after those of the reasons.
pub const TIER_COUNTERS: u32 = Reason::ALL.len() as u32;

/// Counters in all.
pub const COUNTERS: usize = Reason::ALL.len() + MAX_TIERS;
