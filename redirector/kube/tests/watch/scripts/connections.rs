//! Connecting: refused, reset, silent, and every way in which TLS fails.

use redirector_kube::{
    client::ErrorKind::{Interrupted, TimedOut, Tls, Unreachable},
    watch::Snapshot,
};

use super::{Script, script};
use crate::{
    state::{On::*, Part, head, line, refusal},
    tls::Identity,
};

pub(super) fn scripts() -> Vec<Script> {
    vec![
        Script { is_late: true, ..script("refused until the server is up") }.meets(&[Unreachable]),
        script("reset when accepted").does(Connect, vec![Part::Reset]).check(some_error),
        script("closed when accepted").does(Connect, vec![Part::Close]).meets(&[Interrupted]),
        script("accepted, then nothing").does(Connect, vec![Part::Hang]).meets(&[TimedOut]),
        with_identity("an unknown authority", Identity::UnknownAuthority),
        with_identity("a certificate of another name", Identity::WrongName),
        with_identity("an expired certificate", Identity::Expired),
        script("a TLS handshake that hangs")
            .tls()
            .does(Connect, vec![Part::Hang])
            .meets(&[Unreachable]),
        script("a TLS handshake that is cut")
            .tls()
            .does(Connect, vec![Part::Reset])
            .check(some_error),
        script("TLS without a fault").tls(),
        Script { is_elsewhere: true, ..script("an alternative, the first address refuses") }.tls(),
        script("the watch's connection is reset")
            .on(Watch, |state, _| {
                state.put("b", "2");
                vec![head(), Part::Pause(20), Part::Reset]
            })
            .meets(&[Interrupted])
            .once(&["+b=2"]),
        script("the watch's connection is reset amid a line")
            .on(Watch, |state, _| {
                let event = state.put("b", "2");
                let half = format!("{:x}\r\n{}", event.len() + 1, &event[..event.len() / 2]);
                vec![head(), Part::Send(half.into()), Part::Pause(20), Part::Reset]
            })
            .meets(&[Interrupted])
            .once(&["+b=2"]),
        script("half-open: the kept connection answers nothing")
            .does(Watch, vec![Part::Hang])
            .meets(&[TimedOut]),
        script("the kept connection is closed after the list")
            .does(List, vec![Part::Honest, Part::Close]),
        script("the API server restarts: everything cut, then 503, then well")
            .does(Watch, vec![head(), Part::Reset])
            .does(Watch, refusal(503, "", "starting"))
            .on(Watch, |state, _| {
                state.remove("c");
                vec![head(), line(&state.history.last().expect("an event").1), Part::Hang]
            })
            .once(&["-c"]),
    ]
}

/// Fails if there was no error; which one there was depends on how far the kernel got with connecting.
fn some_error(seen: &Snapshot) -> Option<String> {
    seen.errors.is_empty().then(|| "no error was met".to_owned())
}

fn with_identity(name: &'static str, identity: Identity) -> Script {
    script(name)
        .tls()
        .on(Connect, move |state, _| {
            state.identity = identity;
            Vec::new()
        })
        .on(Connect, |state, _| {
            state.identity = Identity::Good;
            Vec::new()
        })
        .meets(&[Tls])
}
