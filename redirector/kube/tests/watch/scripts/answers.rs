//! Answers that are none: errors, silence, halves, floods, and things that are no list.

use redirector_kube::client::ErrorKind::{
    Encoded, Interrupted, Malformed, NotFound, Server, TimedOut, TooLarge, TooManyRequests,
};

use super::{Script, script};
use crate::world::{On::*, Part, World, answer, chunk, head, line, ok, page_of, refusal};

pub(super) fn scripts() -> Vec<Script> {
    vec![
        script("500 for the list").does(List, refusal(500, "", "no")).forced(1).meets(&[Server]),
        script("502 with a page of HTML for the list")
            .does(
                List,
                vec![answer(502, "content-type: text/html\r\n", "<html>bad gateway</html>")],
            )
            .forced(1)
            .meets(&[Server]),
        script("503 three times for the list")
            .does(List, refusal(503, "", "starting"))
            .does(List, refusal(503, "", "starting"))
            .does(List, refusal(503, "", "starting"))
            .forced(3)
            .meets(&[Server]),
        script("503 with Retry-After for the list")
            .does(List, refusal(503, "retry-after: 1\r\n", "starting"))
            .forced(1)
            .meets(&[Server]),
        script("429 with Retry-After of an hour for the list: 30 s at most")
            .does(List, refusal(429, "retry-after: 3600\r\n", "slow down"))
            .forced(1)
            .meets(&[TooManyRequests]),
        script("429 with a Retry-After that is none")
            .does(List, refusal(429, "retry-after: Wed, 21 Oct 2026 07:28:00 GMT\r\n", "slow down"))
            .forced(1)
            .meets(&[TooManyRequests]),
        script("500 for the watch, five times")
            .does(Watch, refusal(500, "", "no"))
            .does(Watch, refusal(500, "", "no"))
            .does(Watch, refusal(500, "", "no"))
            .does(Watch, refusal(500, "", "no"))
            .does(Watch, refusal(500, "", "no"))
            .meets(&[Server]),
        script("503 with Retry-After for the watch")
            .does(Watch, refusal(503, "retry-after: 1\r\n", "starting"))
            .meets(&[Server]),
        script("429 with Retry-After for the watch")
            .does(Watch, refusal(429, "retry-after: 1\r\n", "slow down"))
            .meets(&[TooManyRequests]),
        script("404 until the kind is there")
            .does(List, refusal(404, "", "no things"))
            .forced(1)
            .meets(&[NotFound]),
        script("the list hangs before its head")
            .does(List, vec![Part::Hang])
            .forced(1)
            .meets(&[TimedOut]),
        script("the list hangs after its head")
            .does(List, vec![head(), Part::Hang])
            .forced(1)
            .meets(&[TimedOut]),
        script("the list trickles for ever")
            .does(List, [vec![head()], trickle(400)].concat())
            .forced(1)
            .meets(&[TimedOut]),
        script("the watch hangs before its head").does(Watch, vec![Part::Hang]).meets(&[TimedOut]),
        script("half a list, by length")
            .on(List, |world, _| {
                let list = world.list();
                let half = &list[..list.len() / 2];
                let length = list.len();
                let text = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{half}");
                vec![Part::Send(text.into()), Part::Close]
            })
            .forced(1)
            .meets(&[Interrupted]),
        script("half a list, in chunks")
            .on(List, |world, _| {
                let list = world.list();
                vec![head(), chunk(&list.as_bytes()[..list.len() / 2]), Part::Close]
            })
            .forced(1)
            .meets(&[Interrupted]),
        script("half a list that claims to be whole")
            .on(List, |world, _| {
                let list = world.list();
                vec![ok(&list[..list.len() / 2])]
            })
            .forced(1)
            .meets(&[Malformed]),
        script("a body larger than allowed")
            .does(List, vec![ok(&" ".repeat(200_000))])
            .limits(|limits| redirector_kube::watch::Limits { page: 100_000, ..limits })
            .forced(1)
            .meets(&[TooLarge]),
        script("a gzip bomb, announced")
            .does(List, vec![answer(200, "content-encoding: gzip\r\n", "\u{1f}\u{8b}bomb")])
            .forced(1)
            .meets(&[Encoded]),
        script("gzip that is not announced")
            .does(List, vec![ok("\u{1f}\u{8b}\u{8}\0\0\0")])
            .forced(1)
            .meets(&[Malformed]),
        script("a gzip bomb as a watch")
            .does(Watch, vec![answer(200, "content-encoding: gzip\r\n", "\u{1f}\u{8b}bomb")])
            .meets(&[Encoded]),
        script("HTML instead of a list")
            .does(List, vec![answer(200, "content-type: text/html\r\n", "<html>log in</html>")])
            .forced(1)
            .meets(&[Malformed]),
        script("HTML instead of a watch")
            .does(
                Watch,
                vec![answer(200, "content-type: text/html\r\n", "<html>\nlog in</html>\n")],
            )
            .forced(1)
            .meets(&[Malformed]),
        script("a list of another kind")
            .does(
                List,
                vec![ok(r#"{"kind":"PodList","metadata":{"resourceVersion":"9"},"items":[]}"#)],
            )
            .forced(1)
            .meets(&[Malformed]),
        script("an object that is no list")
            .does(List, vec![ok("{}")])
            .forced(1)
            .meets(&[Malformed]),
        script("a list without a version")
            .does(List, vec![ok(r#"{"kind":"ThingList","metadata":{},"items":[]}"#)])
            .forced(1)
            .meets(&[Malformed]),
        script("an empty list").on(List, |world, _| {
            forget_all(world);
            vec![ok(&page_of(world.version, &[], ""))]
        }),
        script("items: null").on(List, |world, _| {
            forget_all(world);
            let version = world.version;
            let list =
                r#"{"kind":"ThingList","metadata":{"resourceVersion":"VERSION"},"items":null}"#;
            vec![ok(&list.replace("VERSION", &version.to_string()))]
        }),
        script("a head without end")
            .does(
                List,
                vec![Part::Send([b"HTTP/1.1 200 OK\r\nx: ", &[b'x'; 600_000][..]].concat())],
            )
            .forced(1)
            .meets(&[Interrupted]),
        script("a chunk whose size is no number")
            .does(Watch, vec![head(), Part::Send(b"zz\r\n{}\r\n".to_vec())])
            .meets(&[Interrupted]),
        script("chunks with extensions, trailers and single bytes")
            .on(Watch, |world, _| {
                let event = world.put("b", "2") + "\n";
                let mut parts = vec![head()];
                for byte in event.as_bytes() {
                    let text = [b"1;ext=\"a\"\r\n", std::slice::from_ref(byte), b"\r\n"].concat();
                    parts.push(Part::Send(text));
                }
                parts.push(Part::Send(b"0\r\nx-trailer: 1\r\n\r\n".to_vec()));
                parts
            })
            .once(&["+b=2"]),
        script("a watch without chunks, ended by closing")
            .on(Watch, |world, _| {
                let event = world.put("b", "2");
                let text = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{event}\n");
                vec![Part::Send(text.into()), Part::Pause(10), Part::Close]
            })
            .once(&["+b=2"]),
        script("a redirection")
            .does(List, vec![answer(302, "location: http://127.0.0.1:1/\r\n", "")])
            .forced(1),
        script("100 Continue before the watch")
            .on(Watch, |world, _| {
                let event = world.put("b", "2");
                let early = Part::Send(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec());
                vec![early, head(), line(&event), Part::Hang]
            })
            .once(&["+b=2"]),
    ]
}

/// Bytes that are no line and no list, one every 10 ms.
fn trickle(count: usize) -> Vec<Part> {
    (0..count).flat_map(|_| [chunk(b" "), Part::Pause(10)]).collect()
}

fn forget_all(world: &mut World) {
    for name in ["a", "b", "c"] {
        world.remove(name);
    }
}
