//! Answers that are none: errors, silence, halves, floods, and things that are no list.

use redirector_kube::client::ErrorKind::{
    self, Encoded, Interrupted, Malformed, NotFound, Server, TimedOut, TooLarge, TooManyRequests,
};

use super::{Script, script};
use crate::state::{
    On::*, Part, ServerState, answer, chunk, half, head, line, ok, page_of, refusal,
};

pub(super) fn scripts() -> Vec<Script> {
    vec![
        bad_list("500 for the list", &[Server], refusal(500, "", "no")),
        bad_list(
            "502 with a page of HTML for the list",
            &[Server],
            html(502, "<html>bad gateway</html>"),
        ),
        script("503 three times for the list")
            .repeats(3, List, &refusal(503, "", "starting"))
            .forced(3)
            .meets(&[Server]),
        bad_list("503 with Retry-After for the list", &[Server], later(503, "1")),
        bad_list(
            "429 with Retry-After of an hour for the list: 30 s at most",
            &[TooManyRequests],
            later(429, "3600"),
        ),
        bad_list(
            "429 with a Retry-After that is none",
            &[TooManyRequests],
            later(429, "Wed, 21 Oct 2026 07:28:00 GMT"),
        ),
        script("500 for the watch, five times")
            .repeats(5, Watch, &refusal(500, "", "no"))
            .meets(&[Server]),
        bad_watch("503 with Retry-After for the watch", &[Server], later(503, "1")),
        bad_watch("429 with Retry-After for the watch", &[TooManyRequests], later(429, "1")),
        bad_list("404 until the kind is there", &[NotFound], refusal(404, "", "no things")),
        bad_list("the list hangs before its head", &[TimedOut], vec![Part::Hang]),
        bad_list("the list hangs after its head", &[TimedOut], vec![head(), Part::Hang]),
        bad_list("the list trickles for ever", &[TimedOut], [vec![head()], trickle(400)].concat()),
        bad_watch("the watch hangs before its head", &[TimedOut], vec![Part::Hang]),
        script("half a list, by length")
            .on(List, |state, _| half(&state.list()))
            .forced(1)
            .meets(&[Interrupted]),
        script("half a list, in chunks")
            .on(List, |state, _| {
                let list = state.list();
                vec![head(), chunk(&list.as_bytes()[..list.len() / 2]), Part::Close]
            })
            .forced(1)
            .meets(&[Interrupted]),
        script("half a list that claims to be whole")
            .on(List, |state, _| {
                let list = state.list();
                vec![ok(&list[..list.len() / 2])]
            })
            .forced(1)
            .meets(&[Malformed]),
        bad_list("a body larger than allowed", &[TooLarge], vec![ok(&" ".repeat(200_000))])
            .limits(|limits| redirector_kube::watch::Limits { page: 100_000, ..limits }),
        bad_list("a gzip bomb, announced", &[Encoded], bomb()),
        bad_list("gzip that is not announced", &[Malformed], vec![ok("\u{1f}\u{8b}\u{8}\0\0\0")]),
        bad_watch("a gzip bomb as a watch", &[Encoded], bomb()),
        bad_list("HTML instead of a list", &[Malformed], html(200, "<html>log in</html>")),
        script("HTML instead of a watch")
            .does(Watch, html(200, "<html>\nlog in</html>\n"))
            .forced(1)
            .meets(&[Malformed]),
        bad_list(
            "a list of another kind",
            &[Malformed],
            vec![ok(r#"{"kind":"PodList","metadata":{"resourceVersion":"9"},"items":[]}"#)],
        ),
        bad_list("an object that is no list", &[Malformed], vec![ok("{}")]),
        bad_list(
            "a list without a version",
            &[Malformed],
            vec![ok(r#"{"kind":"ThingList","metadata":{},"items":[]}"#)],
        ),
        script("an empty list").on(List, |state, _| {
            forget_all(state);
            vec![ok(&page_of(state.version, &[], ""))]
        }),
        script("items: null").on(List, |state, _| {
            forget_all(state);
            let version = state.version;
            let list =
                r#"{"kind":"ThingList","metadata":{"resourceVersion":"VERSION"},"items":null}"#;
            vec![ok(&list.replace("VERSION", &version.to_string()))]
        }),
        bad_list(
            "a head without end",
            &[Interrupted],
            vec![Part::Send([b"HTTP/1.1 200 OK\r\nx: ", &[b'x'; 600_000][..]].concat())],
        ),
        bad_watch(
            "a chunk whose size is no number",
            &[Interrupted],
            vec![head(), Part::Send(b"zz\r\n{}\r\n".to_vec())],
        ),
        script("chunks with extensions, trailers and single bytes")
            .on(Watch, |state, _| {
                let event = state.put("b", "2") + "\n";
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
            .on(Watch, |state, _| {
                let event = state.put("b", "2");
                let text = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{event}\n");
                vec![Part::Send(text.into()), Part::Pause(10), Part::Close]
            })
            .once(&["+b=2"]),
        script("a redirection")
            .does(List, vec![answer(302, "location: http://127.0.0.1:1/\r\n", "")])
            .forced(1),
        script("100 Continue before the watch")
            .on(Watch, |state, _| {
                let event = state.put("b", "2");
                let early = Part::Send(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec());
                vec![early, head(), line(&event), Part::Hang]
            })
            .once(&["+b=2"]),
    ]
}

/// A list that says nothing: another one is asked for.
fn bad_list(name: &'static str, errors: &'static [ErrorKind], parts: Vec<Part>) -> Script {
    script(name).does(List, parts).forced(1).meets(errors)
}

/// A watch that says nothing: it is asked for again.
fn bad_watch(name: &'static str, errors: &'static [ErrorKind], parts: Vec<Part>) -> Script {
    script(name).does(Watch, parts).meets(errors)
}

fn html(code: u16, text: &str) -> Vec<Part> {
    vec![answer(code, "content-type: text/html\r\n", text)]
}

fn bomb() -> Vec<Part> {
    vec![answer(200, "content-encoding: gzip\r\n", "\u{1f}\u{8b}bomb")]
}

fn later(code: u16, retry_after: &str) -> Vec<Part> {
    refusal(code, &format!("retry-after: {retry_after}\r\n"), "slow down")
}

/// Bytes that are no line and no list, one every 10 ms.
fn trickle(count: usize) -> Vec<Part> {
    (0..count).flat_map(|_| [chunk(b" "), Part::Pause(10)]).collect()
}

fn forget_all(state: &mut ServerState) {
    for name in ["a", "b", "c"] {
        state.remove(name);
    }
}
