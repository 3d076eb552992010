//! Which program goes to which hook, and in which order they are attached.

use aya_obj::generated::bpf_attach_type;

/// A hook of the cgroup, and its first program.
#[derive(Clone, Copy, Debug)]
pub struct Hook {
    /// Name of the program and of its link.
    pub program: &'static str,
    /// A `bpf_attach_type`.
    pub attach: bpf_attach_type,
    /// The array of the programs it may call, if any.
    pub next: Option<&'static str>,
}

/// What the programs that a first one may call are named, by their index in its array. The last
/// two belong to connects, the very last to `connect6`.
const STEPS: [&str; 6] = ["resume", "choose", "scan", "later", "trial", "scan_mapped"];

impl Hook {
    /// The programs that the first one may call, by their index in its array.
    pub fn steps(&self) -> impl Iterator<Item = String> {
        let count = match (self.next, self.attach) {
            (None, _) => 0,
            (Some(_), bpf_attach_type::BPF_CGROUP_INET6_CONNECT) => STEPS.len(),
            (Some(_), bpf_attach_type::BPF_CGROUP_INET4_CONNECT) => STEPS.len() - 1,
            (Some(_), _) => STEPS.len() - 2,
        };
        STEPS.into_iter().take(count).map(|step| format!("{}_{step}", self.program))
    }
}

const fn alone(program: &'static str, attach: bpf_attach_type) -> Hook {
    Hook { program, attach, next: None }
}

const fn dial(program: &'static str, attach: bpf_attach_type, next: &'static str) -> Hook {
    Hook { program, attach, next: Some(next) }
}

/// In the order of attaching: the answers to "who is my peer?" first, so that no socket is
/// redirected before it can be told; then what watches sockets, so that none is missed; detaching
/// goes the other way.
pub const HOOKS: [Hook; 10] = [
    alone("getpeername4", bpf_attach_type::BPF_CGROUP_INET4_GETPEERNAME),
    alone("getpeername6", bpf_attach_type::BPF_CGROUP_INET6_GETPEERNAME),
    alone("recvmsg4", bpf_attach_type::BPF_CGROUP_UDP4_RECVMSG),
    alone("recvmsg6", bpf_attach_type::BPF_CGROUP_UDP6_RECVMSG),
    alone("sock_release", bpf_attach_type::BPF_CGROUP_INET_SOCK_RELEASE),
    alone("sock_ops", bpf_attach_type::BPF_CGROUP_SOCK_OPS),
    dial("sendmsg4", bpf_attach_type::BPF_CGROUP_UDP4_SENDMSG, "NEXT_SENDMSG4"),
    dial("sendmsg6", bpf_attach_type::BPF_CGROUP_UDP6_SENDMSG, "NEXT_SENDMSG6"),
    dial("connect4", bpf_attach_type::BPF_CGROUP_INET4_CONNECT, "NEXT_CONNECT4"),
    dial("connect6", bpf_attach_type::BPF_CGROUP_INET6_CONNECT, "NEXT_CONNECT6"),
];
