//! Which program goes to which hook, and in which order they are attached.

use aya_obj::generated::bpf_attach_type;

/// A hook of the cgroup, and its first program.
#[derive(Clone, Copy, Debug)]
pub struct Hook {
    /// Name of the pinned link, which outlives versions.
    pub link: &'static str,
    /// Name of the program: what `bpftool` shows of it is 15 characters.
    pub program: &'static str,
    /// A `bpf_attach_type`.
    pub attach: bpf_attach_type,
    /// The array of the programs it may call, if any.
    pub next: Option<&'static str>,
    steps: &'static [&'static str],
}

/// What the programs are named that the first one of a connect may call, by their index in its
/// array. Those that are `mapped` belong to `connect6` alone.
const CONNECT: &[&str] = &[
    "resume",
    "choose",
    "scan",
    "later",
    "trial",
    "avoid",
    "avoid_scan",
    "scan_mapped",
    "trial_mapped",
    "avoid_mapped",
    "avoid_scan_mapped",
    "later_mapped",
];
/// The same for sends, which have no trials and avoid no backend.
const SEND: &[&str] = CONNECT.split_at(4).0;
/// The same for what happens to sockets: what becomes of a listener, and of a connect that has
/// failed.
const SOCKET: &[&str] = &["ended4", "ended6", "listening", "failed"];
/// The same for a socket that is closed.
const RELEASE: &[&str] =
    &["ended4", "ended6", "given_up", "given_up_stored", "closed", "answered", "unanswered"];

impl Hook {
    const fn new(link: &'static str, program: &'static str, attach: bpf_attach_type) -> Self {
        Self { link, program, attach, next: None, steps: &[] }
    }

    const fn calling(self, next: &'static str, steps: &'static [&'static str]) -> Self {
        Self { next: Some(next), steps, ..self }
    }

    /// Whether it sees sockets that were redirected before, and redirects none.
    pub fn is_watching(&self) -> bool {
        let redirecting = ["connect", "sendmsg"];
        !redirecting.iter().any(|prefix| self.link.starts_with(prefix))
    }

    /// The programs that the first one may call, by their index in its array.
    pub fn steps(&self) -> impl Iterator<Item = String> {
        self.steps.iter().map(|step| format!("{}_{step}", self.program))
    }
}

/// In the order of attaching: the answers to "who is my peer?" first, so that no socket is
/// redirected before it can be told; then what watches sockets, so that none is missed; detaching
/// goes the other way.
pub const HOOKS: [Hook; 10] = [
    Hook::new("getpeername4", "rdr_peername4", bpf_attach_type::BPF_CGROUP_INET4_GETPEERNAME),
    Hook::new("getpeername6", "rdr_peername6", bpf_attach_type::BPF_CGROUP_INET6_GETPEERNAME),
    Hook::new("recvmsg4", "rdr_recvmsg4", bpf_attach_type::BPF_CGROUP_UDP4_RECVMSG),
    Hook::new("recvmsg6", "rdr_recvmsg6", bpf_attach_type::BPF_CGROUP_UDP6_RECVMSG),
    Hook::new("sock_release", "rdr_release", bpf_attach_type::BPF_CGROUP_INET_SOCK_RELEASE)
        .calling("NEXT_RELEASE", RELEASE),
    Hook::new("sock_ops", "rdr_sock_ops", bpf_attach_type::BPF_CGROUP_SOCK_OPS)
        .calling("NEXT_SOCK_OPS", SOCKET),
    Hook::new("sendmsg4", "rdr_sendmsg4", bpf_attach_type::BPF_CGROUP_UDP4_SENDMSG)
        .calling("NEXT_SENDMSG4", SEND),
    Hook::new("sendmsg6", "rdr_sendmsg6", bpf_attach_type::BPF_CGROUP_UDP6_SENDMSG)
        .calling("NEXT_SENDMSG6", SEND),
    Hook::new("connect4", "rdr_connect4", bpf_attach_type::BPF_CGROUP_INET4_CONNECT)
        .calling("NEXT_CONNECT4", CONNECT.split_at(7).0),
    Hook::new("connect6", "rdr_connect6", bpf_attach_type::BPF_CGROUP_INET6_CONNECT)
        .calling("NEXT_CONNECT6", CONNECT),
];
