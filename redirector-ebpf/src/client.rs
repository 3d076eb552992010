//! Who dials: the client whose failures move that client, and the witness it may be for others.

use aya_ebpf::{
    EbpfContext as _,
    helpers::generated::{
        bpf_get_current_ancestor_cgroup_id, bpf_get_current_cgroup_id, bpf_get_netns_cookie,
    },
    programs::{SockAddrContext, SockContext, SockOpsContext},
};
use redirector_common::Client;

use crate::{kernel_socket::Socket, listen, slot::constant};

/// How deep below the root of all cgroups pods and units are, so that a process that may make
/// cgroups below its own remains one client; 0 if the loader cannot tell. Set by the loader.
#[unsafe(no_mangle)]
static CLIENT_LEVEL: u32 = 0;

/// Id of the cgroup that stands for the process that calls now.
#[inline(always)]
pub fn cgroup() -> u64 {
    let level = constant(&CLIENT_LEVEL);
    // SAFETY: the helpers take numbers.
    unsafe {
        if level != 0 {
            let ancestor = bpf_get_current_ancestor_cgroup_id(level as i32);
            // One that is less deep has none there.
            if ancestor != 0 {
                return ancestor;
            }
        }
        bpf_get_current_cgroup_id()
    }
}

/// Who connects.
#[inline(always)]
pub fn connecting(context: &SockAddrContext) -> Client {
    let is_of_system = listen::is_watching() && {
        // SAFETY: the kernel passes a valid context, and in it a socket, for the whole call.
        Socket::of(unsafe { (*context.sock_addr).__bindgen_anon_1.sk }.cast()).is_of_system()
    };
    // SAFETY: the helper takes this context.
    let netns = if is_of_system { unsafe { bpf_get_netns_cookie(context.as_ptr()) } } else { 0 };
    Client { cgroup: cgroup(), netns }
}

/// Who has connected a socket that is being closed; `cgroup` was noted then.
#[inline(always)]
pub fn closing(context: &SockContext, cgroup: u64) -> Client {
    let is_of_system = listen::is_watching() && Socket::of(context.as_ptr()).is_of_system();
    // SAFETY: the helper takes this context.
    let netns = if is_of_system { unsafe { bpf_get_netns_cookie(context.as_ptr()) } } else { 0 };
    Client { cgroup, netns }
}

/// Who has connected a socket; `cgroup` was noted then.
#[inline(always)]
pub fn connected(context: &SockOpsContext, cgroup: u64) -> Client {
    let is_of_system = listen::is_watching() && listen::socket(context).is_of_system();
    // SAFETY: the helper takes this context; where listeners are watched the kernel has it.
    let netns = if is_of_system { unsafe { bpf_get_netns_cookie(context.as_ptr()) } } else { 0 };
    Client { cgroup, netns }
}
