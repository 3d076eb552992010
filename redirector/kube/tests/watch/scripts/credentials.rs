//! Who we are, and whom we trust: tokens and authorities that change while we run.

use redirector_kube::client::ErrorKind::{Forbidden, Tls, Unauthorized};

use super::{Script, script};
use crate::{
    state::{On::*, Part, Request, ServerState, refusal},
    tls::{Identity, PKI},
};

pub(super) fn scripts() -> Vec<Script> {
    vec![
        script("401 for the list until the token file changes")
            .on(List, new_token)
            .forced(20)
            .meets(&[Unauthorized]),
        script("401 for the watch until the token file changes")
            .on(Watch, new_token)
            .meets(&[Unauthorized]),
        script("a token that is rotated in time, over TLS")
            .tls()
            .on(Watch, new_token)
            .meets(&[Unauthorized]),
        script("a token with a line end")
            .on(Watch, |state, _| {
                state.token = Some("second");
                std::fs::write(state.account.join("token"), "second\n").expect("a token");
                refusal(401, "", "expired")
            })
            .meets(&[Unauthorized]),
        script("403 for the list until the role is bound")
            .does(List, refusal(403, "", "things is forbidden"))
            .forced(1)
            .meets(&[Forbidden]),
        script("403 for the watch until the role is bound")
            .does(Watch, refusal(403, "", "things is forbidden"))
            .meets(&[Forbidden]),
        script("an authority that is rotated")
            .tls()
            .does(Watch, vec![Part::Close])
            .on(Connect, |state, _| {
                std::fs::write(state.account.join("ca.crt"), &PKI.next_ca).expect("a CA file");
                state.identity = Identity::Rotated;
                Vec::new()
            })
            .meets(&[Tls]),
        script("an authority that comes later, its file broken meanwhile")
            .tls()
            .does(Watch, vec![Part::Close])
            .on(Connect, |state, _| {
                std::fs::write(state.account.join("ca.crt"), "half a").expect("a CA file");
                state.identity = Identity::Rotated;
                Vec::new()
            })
            .on(Connect, |state, _| {
                std::fs::write(state.account.join("ca.crt"), &PKI.next_ca).expect("a CA file");
                Vec::new()
            })
            .meets(&[Tls]),
    ]
}

fn new_token(state: &mut ServerState, request: &Request) -> Vec<Part> {
    assert!(request.has_token("first"), "{}", request.head);
    state.token = Some("second");
    std::fs::write(state.account.join("token"), "second").expect("a token");
    refusal(401, "", "expired")
}
