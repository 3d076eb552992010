//! What a stream of events may do: fall silent, repeat, break, say nonsense, and never end a line.

use redirector_kube::{
    client::ErrorKind::{Malformed, Refused, Server, TimedOut, TooLarge, TooManyRequests},
    watch::{Limits, Snapshot},
};

use super::{Script, quick, script};
use crate::state::{
    On::*, Part, Request, ServerState, bookmark, chunk, end, error_event, head, line, stream,
};

pub(super) fn scripts() -> Vec<Script> {
    vec![
        script("a kind of which there is nothing to say is no alarm")
            .does(Watch, vec![head(), Part::Hang])
            .on(Watch, ends_in_time)
            .on(Watch, ends_in_time)
            .limits(quick)
            .check(no_alarm),
        script("nor is one that has changed and is quiet again")
            .does(Watch, vec![head(), Part::Hang])
            .on(Watch, |state, _| vec![head(), line(&state.put("b", "2")), Part::Pause(100), end()])
            .does(Watch, vec![head(), Part::Hang])
            .on(Watch, ends_in_time)
            .limits(quick)
            .once(&["+b=2"])
            .check(no_alarm),
        script("silence where an end was asked for")
            .does(Watch, vec![head(), Part::Hang])
            .does(Watch, vec![head(), Part::Hang])
            .limits(quick)
            .meets(&[TimedOut]),
        script("silence after an event").on(Watch, |state, _| {
            let event = state.put("b", "2");
            state.put("c", "2");
            vec![head(), line(&event), Part::Hang]
        })
        .once(&["+b=2", "+c=2"])
        .check(no_alarm),
        script("bytes without a line are silence")
            .does(Watch, vec![head(), Part::Hang])
            .does(Watch, [vec![head()], trickle()].concat())
            .limits(quick)
            .meets(&[TimedOut]),
        script("nothing but bookmarks, for longer than the silence allowed")
            .on(Watch, |state, _| {
                let bookmark = line(&bookmark(state.version));
                let some = (0..80).flat_map(|_| [bookmark.clone(), Part::Pause(100)]);
                [head()].into_iter().chain(some).chain([end()]).collect()
            })
            .check(|seen| (!seen.errors.is_empty()).then(|| "bookmarks were not enough".to_owned())),
        script("a bookmark without a version").does(Watch, stream([r#"{"type":"BOOKMARK","object":{"kind":"Thing","metadata":{}}}"#])),
        script("a bookmark of long ago")
            .on(Watch, |state, _| {
                let event = state.put("b", "2");
                stream([event, bookmark(1)])
            })
            .asks_with(Watch, "resourceVersion=104")
            .once(&["+b=2"]),
        script("every event twice").on(Watch, |state, _| {
            let (put, gone) = (state.put("b", "2"), state.remove("c"));
            let events = [&put, &put, &gone, &gone, &put].map(|event| line(event));
            [vec![head()], events.to_vec(), vec![end()]].concat()
        })
        .once(&["+b=2", "-c"])
        .check(|seen| (seen.ignored < 3).then(|| "duplicates were not ignored".to_owned())),
        script("events in the wrong order").on(Watch, |state, _| {
            let (second, third) = (state.put("b", "2"), state.put("b", "3"));
            stream([third, second])
        })
        .never(&["+b=2"])
        .once(&["+b=3"]),
        script("an event without a resourceVersion").on(Watch, |state, _| {
            let event = state.put("b", "2").replace(r#""resourceVersion":"104""#, r#""x":"104""#);
            vec![head(), line(&event), Part::Pause(20), end()]
        }),
        script("an object removed that nobody knows").does(Watch, stream([r#"{"type":"DELETED","object":{"metadata":{"name":"x","resourceVersion":"103"}}}"#]))
        .never(&["-x"]),
        script("MODIFIED for an object that nobody knows").on(Watch, |state, _| stream([state.put("d", "1").replace("ADDED", "MODIFIED")]))
        .once(&["+d=1"]),
        script("UTF-8 split between chunks").on(Watch, |state, _| {
            let event = state.put("b", "zürich-東京-🚂") + "\n";
            let bytes = event.as_bytes().iter().flat_map(|byte| [chunk(&[*byte]), Part::Pause(1)]);
            [head()].into_iter().chain(bytes).chain([end()]).collect()
        })
        .once(&["+b=zürich-東京-🚂"]),
        script("bytes that are no UTF-8 in a value").on(Watch, |state, _| {
            let event = state.put("b", "\u{fffd}");
            let broken = event.as_bytes().to_vec();
            let at = event.find('\u{fffd}').expect("the value");
            let broken = [&broken[..at], b"\xff", &broken[at + 3..], b"\n"].concat();
            vec![head(), chunk(&broken), end()]
        })
        .once(&["+b=\u{fffd}"]),
        script("many events in one chunk, with empty lines and CRLF").on(Watch, |state, _| {
            let events = [state.put("b", "2"), state.remove("c"), state.put("d", "1")];
            vec![head(), chunk(format!("\r\n{}\n\n", events.join("\r\n")).as_bytes()), end()]
        })
        .once(&["+b=2", "-c", "+d=1"]),
        script("2,000 events at once, to a slow listener").on(Watch, |state, _| {
            for round in 0..2_000 {
                state.put(&format!("x{}", round % 50), &round.to_string());
            }
            vec![Part::Replay]
        }),
        script("an event cut in half at a proper end").on(Watch, |state, _| {
            let event = state.put("b", "2");
            vec![head(), chunk(&event.as_bytes()[..event.len() / 2]), end()]
        })
        .once(&["+b=2"]),
        script("a whole event without a line end").on(Watch, |state, _| {
            let event = state.put("b", "2");
            vec![head(), chunk(event.as_bytes()), end()]
        })
        .once(&["+b=2"]),
        script("an endless line")
            .does(Watch, [vec![head()], vec![chunk(&[b'x'; 4_000]); 20]].concat())
            .limits(|limits| Limits { line: 8_000, ..limits })
            .forced(1)
            .meets(&[TooLarge]),
        script("an endless line of JSON after an event")
            .on(Watch, |state, _| {
                let event = state.put("b", "2");
                let endless = vec![chunk(&[b'['; 4_000]); 20];
                [vec![head(), line(&event)], endless].concat()
            })
            .limits(|limits| Limits { line: 8_000, ..limits })
            .forced(1)
            .meets(&[TooLarge])
            .once(&["+b=2"]),
        script("the connection is closed after every event")
            .on(Watch, |state, _| vec![head(), line(&state.put("b", "2")), Part::Close])
            .on(Watch, |state, _| vec![head(), line(&state.put("b", "3")), Part::Close])
            .on(Watch, |state, _| vec![head(), line(&state.remove("b")), Part::Close])
            .on(Watch, |state, _| vec![head(), line(&state.put("b", "4")), Part::Close])
            .once(&["+b=2", "+b=3", "-b", "+b=4"]),
        script("a watch that was cut goes on from the event heard last")
            .on(Watch, |state, _| {
                let (put, gone) = (state.put("b", "2"), state.remove("c"));
                vec![head(), line(&put), line(&gone), Part::Close]
            })
            .on(Watch, |_, request| {
                assert!(request.path.ends_with("resourceVersion=105"), "{}", request.path);
                vec![Part::Honest]
            })
            .once(&["+b=2", "-c"]),
        script("the watch ends at once, five times")
            .repeats(5, Watch, &[head(), end()]),
        script("ERROR event 500")
            .does(Watch, stream([error_event(500, "no")]))
            .meets(&[Server]),
        script("ERROR event 429")
            .does(Watch, stream([error_event(429, "slow down")]))
            .meets(&[TooManyRequests]),
        script("ERROR event 400")
            .does(Watch, stream([error_event(400, "bad")]))
            .forced(1)
            .meets(&[Refused]),
        script("ERROR event without a code")
            .does(Watch, stream([r#"{"type":"ERROR","object":{}}"#]))
            .meets(&[Server]),
        script("an event before an ERROR event counts").on(Watch, |state, _| {
            let event = state.put("b", "2");
            let both = format!("{event}\n{}\n", error_event(500, "no"));
            vec![head(), chunk(both.as_bytes()), end()]
        })
        .meets(&[Server])
        .once(&["+b=2"]),
        nonsense("a line that is no JSON", "}{"),
        nonsense("an event of an unknown type", r#"{"type":"RENAMED","object":{}}"#),
        nonsense("an event without an object", r#"{"type":"ADDED"}"#),
        nonsense("an object without a name", r#"{"type":"ADDED","object":{"metadata":{}}}"#),
        nonsense("an object without metadata", r#"{"type":"MODIFIED","object":[]}"#),
    ]
}

/// The event does not tell what it was about: what really happened has to be found by a relist.
fn nonsense(name: &'static str, text: &'static str) -> Script {
    script(name)
        .on(Watch, move |state, _| {
            let lost = state.put("b", "2");
            state.forget(&lost);
            let lost = state.remove("c");
            state.forget(&lost);
            stream([text])
        })
        .forced(1)
        .meets(&[Malformed])
        .once(&["+b=2", "-c"])
}

/// A watch that is asked to end before silence is too long, and does.
fn ends_in_time(_: &mut ServerState, request: &Request) -> Vec<Part> {
    let asked = request.path.split("timeoutSeconds=").nth(1).expect("a timeout");
    let seconds = asked.split('&').next().and_then(|text| text.parse::<u64>().ok());
    assert!(seconds.is_some_and(|seconds| seconds <= 1), "{}", request.path);
    vec![head(), Part::Pause(100), end()]
}

fn no_alarm(seen: &Snapshot) -> Option<String> {
    (!seen.errors.is_empty()).then(|| "silence was an error".to_owned())
}

/// A byte every 20 ms, for longer than the silence that is allowed.
fn trickle() -> Vec<Part> {
    (0..400).flat_map(|_| [chunk(b" "), Part::Pause(20)]).collect()
}
