//! Lists after the first: 410 in three forms, pages that are cut, removals while away, replicas
//! that are behind, and relists that find what a watch has lost.

use redirector_kube::{
    client::ErrorKind::{Behind, Gone, Interrupted, Malformed, TimedOut, TooLarge},
    watch::Limits,
};

use super::{Script, quick, script};
use crate::state::{
    On::*, Part, ServerState, bookmark, end, error_event, half, head, line, ok, page_of, refusal,
    stream,
};

/// A relist is due after 48 to 72 ms instead of a minute.
fn soon(limits: Limits) -> Limits {
    Limits { relist: std::time::Duration::from_millis(60), ..limits }
}

pub(super) fn scripts() -> Vec<Script> {
    vec![
        script("410 as a status").on(Watch, away(refusal(410, "", "too old"))).gone(1).meets(&[Gone])
            .once(&["-a", "+b=2", "+d=1"]),
        script("410 as an event")
            .on(Watch, away(stream([error_event(410, "too old")])))
            .gone(1)
            .meets(&[Gone])
            .once(&["-a", "+b=2", "+d=1"]),
        script("410 for continue")
            .on(List, |state, _| vec![ok(&state.page(&["a"], "more"))])
            .does(Page, refusal(410, "", "the continue token is too old"))
            .gone(1)
            .meets(&[Gone]),
        script("410 for continue of a relist")
            .on(Watch, away(refusal(410, "", "too old")))
            .on(List, |state, _| vec![ok(&state.page(&["b"], "more"))])
            .does(Page, refusal(410, "", "the continue token is too old"))
            .gone(2)
            .never(&["-c", "-b"])
            .meets(&[Gone])
            .once(&["-a", "+b=2"]),
        script("410 three times in a row")
            .does(Watch, refusal(410, "", "too old"))
            .does(Watch, refusal(410, "", "too old"))
            .does(Watch, vec![head(), line(&error_event(410, "too old")), Part::Hang])
            .gone(3)
            .meets(&[Gone]),
        script("pages, the client asks for the next one by its token")
            .on(List, |state, _| vec![ok(&state.page(&["a"], "to/ken="))])
            .on(Page, |state, request| {
                assert!(request.path.contains("continue=to%2Fken%3D"), "{}", request.path);
                assert!(!request.path.contains("resourceVersion"), "{}", request.path);
                vec![ok(&state.page(&["b"], "more"))]
            })
            .on(Page, |state, _| vec![ok(&state.page(&["c"], ""))])
            .once(&["+a=1", "+b=1", "+c=1"]),
        script("changes between the pages").on(List, |state, _| {
            let page = state.page(&["a"], "more");
            vec![ok(&page)]
        })
        .on(Page, |state, _| {
            // The pages are of one version; what comes after it is for the watch.
            let page = state.page(&["b", "c"], "");
            state.put("a", "2");
            state.remove("c");
            vec![ok(&page)]
        })
        .once(&["+a=2", "-c"]),
        cut_relist("a relist cut in its 1st page", 0),
        cut_relist("a relist cut in its 2nd page", 1),
        cut_relist("a relist cut in its last page", 2),
        script("removals while away, the watch says them")
            .does(Watch, vec![head(), end()])
            .on(Watch, |state, _| {
                state.remove("a");
                state.remove("c");
                vec![Part::Replay]
            })
            .once(&["-a", "-c"]),
        script("removed and made anew while away")
            .on(Watch, |state, _| {
                state.remove("a");
                state.put("a", "2");
                refusal(410, "", "too old")
            })
            .gone(1)
            .never(&["-a"])
            .once(&["+a=2"]),
        script("everything removed while away")
            .on(Watch, |state, _| {
                for name in ["a", "b", "c"] {
                    state.remove(name);
                }
                refusal(410, "", "too old")
            })
            .gone(1)
            .once(&["-a", "-b", "-c"]),
        script("nothing changed while away")
            .does(Watch, refusal(410, "", "too old"))
            .does(Watch, vec![Part::Honest])
            .gone(1)
            .once(&["+a=1", "+b=1", "+c=1"])
            .check(|seen| (seen.differences > 0).then(|| "differences in a quiet state".to_owned())),
        script("an older replica answers a relist")
            .on(Watch, |state, _| {
                let event = state.remove("a");
                stream([event, error_event(410, "too old")])
            })
            .on(List, |_, request| {
                assert!(request.path.contains("resourceVersionMatch=NotOlderThan"), "{}", request.path);
                let ghost = r#"{"metadata":{"namespace":"n","name":"a","uid":"uid-a","resourceVersion":"101"},"spec":{"value":"ghost"}}"#;
                vec![ok(&page_of(101, &[ghost.to_owned()], ""))]
            })
            .asks_without(List, "resourceVersion")
            .gone(1)
            .forced(1)
            .never(&["+a=ghost", "-b", "-c"])
            .meets(&[Gone, Behind])
            .once(&["-a"]),
        script("a replica that does not know the version yet")
            .does(Watch, refusal(410, "", "too old"))
            .does(List, refusal(504, "", "Timeout: Too large resource version: 103, current: 90"))
            .gone(1)
            .forced(1)
            .meets(&[Behind]),
        script("an older replica repeats old events")
            .on(Watch, |state, _| stream([state.remove("a")]))
            .on(Watch, |state, _| {
                let old: Vec<Part> = state.history.iter().map(|(_, event)| line(event)).collect();
                [vec![head()], old, vec![end()]].concat()
            })
            .once(&["+a=1", "+b=1", "-a"]),
        script("etcd restored from a snapshot: older versions are the truth")
            .on(Watch, |state, _| {
                restore(state);
                vec![head(), line(&error_event(504, "Too large resource version: 103, current: 50"))]
            })
            .forced(1)
            .meets(&[Behind])
            .once(&["-c", "+b=restored"]),
        script("etcd restored from a snapshot, and the watch is silent, as the real server's is")
            .on(Watch, |state, _| {
                restore(state);
                vec![head(), Part::Reset]
            })
            .does(Watch, vec![head(), Part::Hang])
            // Asked to end in time, it does.
            .does(Watch, vec![head(), Part::Pause(100), end()])
            .does(List, refusal(504, "", "Timeout: Too large resource version: 103, current: 50"))
            .asks_without(List, "resourceVersion")
            .limits(quick)
            .forced(2)
            .meets(&[Interrupted, Behind])
            .once(&["-c", "+b=restored"]),
        script("a kind of which there is nothing to say, after an outage and without one")
            .does(Watch, vec![head(), Part::Reset])
            .does(Watch, vec![head(), Part::Hang])
            .does(Watch, vec![head(), Part::Pause(100), end()])
            .asks_with(List, "NotOlderThan")
            .does(Watch, vec![head(), Part::Hang])
            .does(Watch, vec![head(), Part::Pause(100), end()])
            .does(Watch, vec![head(), Part::Pause(100), end()])
            .limits(quick)
            .forced(1)
            .meets(&[Interrupted, TimedOut]),
        script("a relist that is due, of a server that knows less")
            .on(List, |_, _| vec![Part::Honest])
            .on(List, |state, _| {
                restore(state);
                refusal(504, "", "Timeout: Too large resource version: 103, current: 50")
            })
            .asks_without(List, "resourceVersion")
            .limits(soon)
            .forced(1_000)
            .once(&["-c", "+b=restored"]),
        script("the watch is refused with 400")
            .does(Watch, refusal(400, "", "invalid resourceVersion"))
            .forced(1),
        script("the first list is too large from the cache, then in pages")
            .on(List, |_, request| {
                assert!(request.path.contains("resourceVersion=0"), "{}", request.path);
                vec![ok(&" ".repeat(9_000))]
            })
            .on(List, |state, request| {
                assert!(!request.path.contains("resourceVersion"), "{}", request.path);
                assert!(request.path.contains("limit="), "{}", request.path);
                vec![ok(&state.page(&["a", "b"], "more"))]
            })
            .on(Page, |state, _| vec![ok(&state.page(&["c"], ""))])
            .limits(|limits| Limits { page: 8_000, ..limits })
            .forced(1)
            .meets(&[TooLarge]),
        script("pages without end")
            .on(List, |state, _| vec![ok(&state.page(&["a"], "more"))])
            .on(Page, |state, _| vec![ok(&state.page(&["a"], "more"))])
            .on(Page, |state, _| vec![ok(&state.page(&["a"], "more"))])
            .on(Page, |state, _| vec![ok(&state.page(&["a"], "more"))])
            .on(Page, |state, _| vec![ok(&state.page(&["a"], "more"))])
            .limits(|limits| Limits { objects: 5, ..limits })
            .forced(1)
            .meets(&[Malformed]),
        script("a relist that is due finds nothing")
            .on(List, |_, _| vec![Part::Honest])
            .on(List, |_, _| vec![Part::Honest])
            .limits(soon)
            .forced(1_000)
            .check(|seen| (seen.missed > 0).then(|| "it says that it missed something".to_owned())),
        script("a relist that is due finds what the watch has lost")
            .on(List, |_, _| vec![Part::Honest])
            .on(List, |state, _| {
                let lost = state.put("b", "2");
                state.forget(&lost);
                let lost = state.remove("c");
                state.forget(&lost);
                state.put("d", "1");
                vec![Part::Honest]
            })
            .limits(soon)
            .forced(1_000)
            .once(&["+b=2", "-c", "+d=1"]),
        script("a relist that is due fails, the watch goes on")
            .on(List, |_, _| vec![Part::Honest])
            .does(List, refusal(500, "", "no"))
            .limits(soon)
            .forced(1_000),
        script("what the watch says while a relist is on its way")
            .on(List, |_, _| vec![Part::Honest])
            .on(List, |state, _| {
                let list = state.list();
                state.put("a", "2");
                state.remove("b");
                state.put("d", "1");
                vec![Part::Pause(100), ok(&list)]
            })
            .limits(soon)
            .forced(1_000)
            .once(&["+a=1", "+a=2", "+b=1", "-b", "+d=1"]),
        script("a bookmark moves the watch on")
            .on(Watch, |state, _| {
                state.version += 50;
                stream([bookmark(state.version)])
            })
            .asks_with(Watch, "resourceVersion=153"),
    ]
}

/// An older state, in which no version after 50 was ever made.
fn restore(state: &mut ServerState) {
    state.remove("c");
    state.put("b", "restored");
    state.version = 50;
    for (version, stored) in (10..).zip(state.objects.values_mut()) {
        stored.version = version;
    }
    state.history.clear();
}

/// Something happens while the watch does not hear it.
fn away(
    parts: Vec<Part>,
) -> impl FnOnce(&mut ServerState, &crate::state::Request) -> Vec<Part> + Send + 'static {
    |state, _| {
        state.remove("a");
        state.put("b", "2");
        state.put("d", "1");
        parts
    }
}

/// A relist of three pages, of which one is cut in half; what was said before stays.
fn cut_relist(name: &'static str, at: usize) -> Script {
    let pages = [("b", "second"), ("c", "third"), ("d", "")];
    let mut script = script(name).on(Watch, away(refusal(410, "", "too old")));
    for (index, (object, next)) in pages.into_iter().enumerate().take(at + 1) {
        let on = if index == 0 { List } else { Page };
        script = script.on(on, move |state, _| {
            let page = state.page(&[object], next);
            if index < at {
                return vec![ok(&page)];
            }
            half(&page)
        });
    }
    let never = &["-b", "-c", "-d"];
    script.gone(1).forced(1).never(never).meets(&[Gone, Interrupted]).once(&["-a", "+b=2", "+d=1"])
}
