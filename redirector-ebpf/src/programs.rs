//! The programs, several per hook: each calls what decides, and only here that becomes a verdict.

use aya_ebpf::{
    EbpfContext as _,
    bindings::{
        BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB, BPF_SOCK_OPS_RTO_CB, BPF_SOCK_OPS_STATE_CB,
        BPF_SOCK_OPS_TCP_CONNECT_CB, BPF_SOCK_OPS_TCP_LISTEN_CB, BPF_SOCK_OPS_TIMEOUT_INIT,
        BPF_TCP_LISTEN, BPF_TCP_SYN_SENT,
    },
    macros::{cgroup_sock, cgroup_sock_addr, sock_ops},
    programs::{SockAddrContext, SockContext, SockOpsContext},
};
use redirector_common::{Reason, TIER_COUNTERS};

use crate::{
    answers, caller, closing,
    context::Hook,
    kernel_socket::Socket,
    listen,
    maps::{
        COUNTERS, NEXT_CONNECT4, NEXT_CONNECT6, NEXT_RELEASE, NEXT_SENDMSG4, NEXT_SENDMSG6,
        NEXT_SOCK_OPS,
    },
    redirect::redirect,
    socket_slots, socket_state,
    steps::{
        AVOID, AVOID_MAPPED, AVOID_SCAN, AVOID_SCAN_MAPPED, CHOOSE, FIRST, LATER, LATER_MAPPED,
        RESUME, SCAN, SCAN_MAPPED, TRIAL, TRIAL_MAPPED, next,
    },
    watch,
};

/// The syscall goes on, with the address as it stands.
const PROCEED: i32 = 1;
/// The same, of what is only watched.
const SEEN: u32 = 1;
/// The syscall fails.
const REFUSE: i32 = 0;

const ECONNREFUSED: i32 = 111;
const EHOSTUNREACH: i32 = 113;

/// Of a listener, by the index in `NEXT_RELEASE` and `NEXT_SOCK_OPS`: it ends, for each family.
const ENDED4: u32 = 0;
const ENDED6: u32 = 1;
/// Of a connect in `NEXT_RELEASE`: something is left of it.
const GIVEN_UP: u32 = 2;
/// The same of a socket whose value is in storage, perhaps.
const GIVEN_UP_STORED: u32 = 3;
/// Of a connection in `NEXT_RELEASE`: it shows whether its backend answers.
const CLOSED: u32 = 4;
/// It does.
const ANSWERED: u32 = 5;
/// It does not.
const UNANSWERED: u32 = 6;
/// Of a listener in `NEXT_SOCK_OPS` alone: it begins.
const LISTENING: u32 = 2;
/// Of a connect in `NEXT_SOCK_OPS`: it has failed.
const FAILED: u32 = 3;

/// The five programs of a hook that dials.
macro_rules! dials {
    ($( $hook:ident: $first:ident $resume:ident $choose:ident $scan:ident $later:ident, $next:ident, v6: $v6:literal, send: $send:literal; )+) => {
        $( dials!(@ $hook $first FIRST $next $v6 $send);
        dials!(@ $hook $resume RESUME $next $v6 $send);
        dials!(@ $hook $choose CHOOSE $next $v6 $send);
        dials!(@ $hook $scan SCAN $next $v6 $send);
        dials!(@ $hook $later LATER $next $v6 $send); )+
    };
    (@ $hook:ident $name:ident $step:ident $next:ident $v6:literal $send:literal) => {
        #[cgroup_sock_addr($hook)]
        pub fn $name(context: SockAddrContext) -> i32 {
            let hook = Hook::<$v6> { inner: context };
            let result = redirect::<$v6, $send, $step>(&hook);
            if let Err(reason) = result
                && let Some(next) = next::<$v6, $send, $step>(&hook, reason)
            {
                count(reason);
                // SAFETY: a program of the same hook. If it is missing the address is left alone.
                unsafe { $next.tail_call(&hook.inner, next) };
                return PROCEED;
            }
            verdict(&hook, result)
        }
    };
}

dials! {
    connect4: rdr_connect4 rdr_connect4_resume rdr_connect4_choose rdr_connect4_scan rdr_connect4_later, NEXT_CONNECT4, v6: false, send: false;
    connect6: rdr_connect6 rdr_connect6_resume rdr_connect6_choose rdr_connect6_scan rdr_connect6_later, NEXT_CONNECT6, v6: true, send: false;
    sendmsg4: rdr_sendmsg4 rdr_sendmsg4_resume rdr_sendmsg4_choose rdr_sendmsg4_scan rdr_sendmsg4_later, NEXT_SENDMSG4, v6: false, send: true;
    sendmsg6: rdr_sendmsg6 rdr_sendmsg6_resume rdr_sendmsg6_choose rdr_sendmsg6_scan rdr_sendmsg6_later, NEXT_SENDMSG6, v6: true, send: true;
}

dials!(@ connect4 rdr_connect4_trial TRIAL NEXT_CONNECT4 false false);
dials!(@ connect6 rdr_connect6_trial TRIAL NEXT_CONNECT6 true false);
dials!(@ connect4 rdr_connect4_avoid AVOID NEXT_CONNECT4 false false);
dials!(@ connect6 rdr_connect6_avoid AVOID NEXT_CONNECT6 true false);
dials!(@ connect4 rdr_connect4_avoid_scan AVOID_SCAN NEXT_CONNECT4 false false);
dials!(@ connect6 rdr_connect6_avoid_scan AVOID_SCAN NEXT_CONNECT6 true false);
dials!(@ connect6 rdr_connect6_trial_mapped TRIAL_MAPPED NEXT_CONNECT6 true false);
dials!(@ connect6 rdr_connect6_avoid_mapped AVOID_MAPPED NEXT_CONNECT6 true false);
dials!(@ connect6 rdr_connect6_avoid_scan_mapped AVOID_SCAN_MAPPED NEXT_CONNECT6 true false);
dials!(@ connect6 rdr_connect6_scan_mapped SCAN_MAPPED NEXT_CONNECT6 true false);
dials!(@ connect6 rdr_connect6_later_mapped LATER_MAPPED NEXT_CONNECT6 true false);

/// What becomes of the syscall. Fails open: only three reasons refuse.
#[inline(always)]
#[must_use]
fn verdict<const V6: bool>(hook: &Hook<V6>, result: Result<(), Reason>) -> i32 {
    log(hook, result);
    let Err(reason) = result else {
        return PROCEED;
    };
    count(reason);
    let errno = match reason {
        Reason::NoBackends | Reason::AllDownRefused => ECONNREFUSED,
        Reason::Unreachable => EHOSTUNREACH,
        _ => return PROCEED,
    };
    hook.refuse(errno);
    REFUSE
}

/// One line for each dial, where the object was built with the feature `log`.
#[inline(always)]
#[cfg_attr(not(feature = "log"), expect(unused_variables, reason = "nothing is logged"))]
fn log<const V6: bool>(hook: &Hook<V6>, result: Result<(), Reason>) {
    #[cfg(feature = "log")]
    {
        let address = hook.address();
        let last = u32::from_be(address.words[3]);
        match result {
            Ok(()) => aya_log_ebpf::debug!(&hook.inner, "to …{:i}:{}", last, address.port),
            Err(reason) => aya_log_ebpf::debug!(
                &hook.inner,
                "left …{:i}:{} alone or refused it, reason {}",
                last,
                address.port,
                reason as u32
            ),
        }
    }
}

#[cgroup_sock_addr(getpeername4)]
pub fn rdr_peername4(context: SockAddrContext) -> i32 {
    translate_peer(&Hook::<false> { inner: context })
}

#[cgroup_sock_addr(getpeername6)]
pub fn rdr_peername6(context: SockAddrContext) -> i32 {
    translate_peer(&Hook::<true> { inner: context })
}

#[cgroup_sock_addr(recvmsg4)]
pub fn rdr_recvmsg4(context: SockAddrContext) -> i32 {
    translate_sender(&Hook::<false> { inner: context })
}

#[cgroup_sock_addr(recvmsg6)]
pub fn rdr_recvmsg6(context: SockAddrContext) -> i32 {
    translate_sender(&Hook::<true> { inner: context })
}

/// Shows the service address instead of the backend's. The kernel accepts no other verdict here.
#[inline(always)]
fn translate_peer<const V6: bool>(hook: &Hook<V6>) -> i32 {
    if socket_state::shows_dialled(hook.protocol())
        && let Some(dialled) = socket_state::peer(&hook.inner, &hook.address())
    {
        hook.rewrite(&dialled);
        count(Reason::Translated);
    }
    PROCEED
}

/// The same for the source of a datagram. What was connected once counts only while it still is;
/// what was sent to before the socket was connected to this very address no more.
#[inline(always)]
fn translate_sender<const V6: bool>(hook: &Hook<V6>) -> i32 {
    let actual = hook.address();
    let dialled = if hook.is_connected_to(&actual) {
        socket_state::peer(&hook.inner, &actual)
    } else {
        socket_state::sender(&hook.inner, &actual)
    };
    if let Some(dialled) = dialled {
        hook.rewrite(&dialled);
        count(Reason::Translated);
    } else {
        caller::wrote(hook, &actual);
    }
    PROCEED
}

/// What happens to a TCP socket. Most calls are for none of ours and end at the number.
#[sock_ops]
pub fn rdr_sock_ops(context: SockOpsContext) -> u32 {
    match context.op() {
        BPF_SOCK_OPS_TIMEOUT_INIT => watch::first_timeout(&context),
        BPF_SOCK_OPS_TCP_CONNECT_CB => watch::connecting(&context),
        BPF_SOCK_OPS_RTO_CB if watch::unanswered(&context) => failed(&context),
        BPF_SOCK_OPS_STATE_CB => match context.arg(0) {
            BPF_TCP_SYN_SENT => {
                if watch::decided(&context) {
                    failed(&context);
                }
            }
            BPF_TCP_LISTEN if listen::is_shut(&context) => {
                // SAFETY: a program of the same hook. If it is missing nothing is told.
                unsafe { NEXT_SOCK_OPS.tail_call(&context, ENDED4) };
            }
            _ => {}
        },
        BPF_SOCK_OPS_TCP_LISTEN_CB => {
            // SAFETY: as above.
            unsafe { NEXT_SOCK_OPS.tail_call(&context, LISTENING) };
        }
        BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB => listen::accepted(&context),
        _ => {}
    }
    SEEN
}

/// Calls the program for a connect that has failed.
#[inline(always)]
fn failed(context: &SockOpsContext) {
    // SAFETY: a program of the same hook. If it is missing nothing is counted.
    unsafe { NEXT_SOCK_OPS.tail_call(context, FAILED) };
    watch::forget_failure(context);
}

/// A socket of any protocol is closed by its last owner.
#[cgroup_sock(sock_release)]
pub fn rdr_release(context: SockContext) -> i32 {
    if let Some(value) = socket_slots::of(context.as_ptr()) {
        if closing::is_left(value) {
            // SAFETY: a program of the same hook. If it is missing nothing is counted.
            unsafe { NEXT_RELEASE.tail_call(&context, GIVEN_UP) };
        } else if answers::is_judged(&context, value) {
            // SAFETY: as above.
            unsafe { NEXT_RELEASE.tail_call(&context, CLOSED) };
        }
        socket_slots::release(value);
    } else if closing::may_be_left(&context) {
        // SAFETY: as above.
        unsafe { NEXT_RELEASE.tail_call(&context, GIVEN_UP_STORED) };
    }
    if listen::is_released(&context) {
        // SAFETY: as above.
        unsafe { NEXT_RELEASE.tail_call(&context, ENDED4) };
    }
    PROCEED
}

/// What becomes of a listener, in programs of their own: in one the verifier would combine them
/// (17,979 instructions).
#[sock_ops]
pub fn rdr_sock_ops_listening(context: SockOpsContext) -> u32 {
    listen::listening(&context);
    SEEN
}

/// What follows from a connect that has failed.
#[sock_ops]
pub fn rdr_sock_ops_failed(context: SockOpsContext) -> u32 {
    watch::failed(&context);
    SEEN
}

/// What follows from a connect whose socket is closed before its end was seen.
#[cgroup_sock(sock_release)]
pub fn rdr_release_given_up(context: SockContext) -> i32 {
    closing::released::<false>(&context);
    PROCEED
}

#[cgroup_sock(sock_release)]
pub fn rdr_release_given_up_stored(context: SockContext) -> i32 {
    closing::released::<true>(&context);
    PROCEED
}

/// What follows from how the connection of a redirected socket went that is closed.
#[cgroup_sock(sock_release)]
pub fn rdr_release_closed(context: SockContext) -> i32 {
    let next = match answers::closed(&context) {
        Some(answers::Shown::Answered) => Some(ANSWERED),
        Some(answers::Shown::Unanswered) => Some(UNANSWERED),
        None => None,
    };
    if let Some(next) = next {
        // SAFETY: a program of the same hook. If it is missing nothing follows.
        unsafe { NEXT_RELEASE.tail_call(&context, next) };
    }
    answers::leave(&context);
    PROCEED
}

#[cgroup_sock(sock_release)]
pub fn rdr_release_answered(context: SockContext) -> i32 {
    answers::answered(&context);
    PROCEED
}

#[cgroup_sock(sock_release)]
pub fn rdr_release_unanswered(context: SockContext) -> i32 {
    answers::unanswered(&context);
    PROCEED
}

#[sock_ops]
pub fn rdr_sock_ops_ended4(context: SockOpsContext) -> u32 {
    if listen::is_watching() && listen::ended4(&context, listen::socket(&context)) {
        // SAFETY: as above.
        unsafe { NEXT_SOCK_OPS.tail_call(&context, ENDED6) };
    }
    SEEN
}

#[sock_ops]
pub fn rdr_sock_ops_ended6(context: SockOpsContext) -> u32 {
    if listen::is_watching() {
        listen::ended6(&context, listen::socket(&context));
    }
    SEEN
}

#[cgroup_sock(sock_release)]
pub fn rdr_release_ended4(context: SockContext) -> i32 {
    if listen::is_watching() && listen::ended4(&context, Socket::of(context.as_ptr())) {
        // SAFETY: as above.
        unsafe { NEXT_RELEASE.tail_call(&context, ENDED6) };
    }
    PROCEED
}

#[cgroup_sock(sock_release)]
pub fn rdr_release_ended6(context: SockContext) -> i32 {
    if listen::is_watching() {
        listen::ended6(&context, Socket::of(context.as_ptr()));
    }
    PROCEED
}

/// One more of these, on this CPU.
#[inline(always)]
pub fn count(reason: Reason) {
    increment(reason as u32);
}

/// One more new choice in `tier`.
#[inline(always)]
pub fn count_tier(tier: u32) {
    increment(TIER_COUNTERS + tier);
}

#[inline(always)]
fn increment(index: u32) {
    if let Some(counter) = COUNTERS.get_ptr_mut(index) {
        // SAFETY: this CPU's own slot. A program interrupting this one may cost a count.
        unsafe { *counter += 1 };
    }
}
