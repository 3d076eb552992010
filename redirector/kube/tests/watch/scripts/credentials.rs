//! Who we are, and whom we trust: tokens and authorities that change while we run.

use redirector_kube::client::ErrorKind::{Forbidden, Tls, Unauthorized};

use super::{Script, script};
use crate::{
    tls::{Identity, PKI},
    world::{On::*, Part, Request, World, refusal},
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
            .on(Watch, |world, _| {
                world.token = Some("second");
                std::fs::write(world.account.join("token"), "second\n").expect("a token");
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
            .on(Connect, |world, _| {
                std::fs::write(world.account.join("ca.crt"), &PKI.next_ca).expect("a CA file");
                world.identity = Identity::Rotated;
                Vec::new()
            })
            .meets(&[Tls]),
        script("an authority that comes later, its file broken meanwhile")
            .tls()
            .does(Watch, vec![Part::Close])
            .on(Connect, |world, _| {
                std::fs::write(world.account.join("ca.crt"), "half a").expect("a CA file");
                world.identity = Identity::Rotated;
                Vec::new()
            })
            .on(Connect, |world, _| {
                std::fs::write(world.account.join("ca.crt"), &PKI.next_ca).expect("a CA file");
                Vec::new()
            })
            .meets(&[Tls]),
    ]
}

fn new_token(world: &mut World, request: &Request) -> Vec<Part> {
    assert!(request.has_token("first"), "{}", request.head);
    world.token = Some("second");
    std::fs::write(world.account.join("token"), "second").expect("a token");
    refusal(401, "", "expired")
}
