//! Objects that cannot be decoded: each is its own problem, and its last good version stays.

use redirector_kube::watch::Limits;

use super::{Script, script};
use crate::state::{On::*, Part, end, head, line, object, ok, page_of, refusal, stream};

pub(super) fn scripts() -> Vec<Script> {
    vec![
        script("an object in the first list that cannot be decoded")
            .on(List, |state, _| {
                state.spoil("x");
                vec![Part::Honest]
            })
            .once(&["!x", "+a=1"]),
        script("an object in a relist that cannot be decoded keeps its last good version")
            .on(Watch, |state, _| {
                state.spoil("b");
                state.put("c", "2");
                refusal(410, "", "too old")
            })
            .gone(1)
            .never(&["-b"])
            .once(&["!b", "+c=2"]),
        script("an object in an event that cannot be decoded keeps its last good version")
            .on(Watch, |state, _| stream([state.spoil("b"), state.put("c", "2")]))
            .never(&["-b"])
            .once(&["!b", "+c=2"]),
        script("an object that can be decoded again")
            .on(Watch, |state, _| stream([state.spoil("b"), state.put("b", "2")]))
            .never(&["-b"])
            .once(&["!b", "+b=2"]),
        script("an object that cannot be decoded is removed")
            .on(Watch, |state, _| stream([state.spoil("b"), state.remove("b")]))
            .once(&["!b", "-b"]),
        script("an object that cannot be decoded vanishes while away")
            .on(Watch, |state, _| {
                let event = state.spoil("b");
                state.remove("b");
                stream([event])
            })
            .does(Watch, refusal(410, "", "too old"))
            .gone(1)
            .once(&["!b", "-b"]),
        script("a version that cannot be decoded is reported once, whatever is listed")
            .on(Watch, |state, _| stream([state.spoil("b")]))
            .does(Watch, refusal(410, "", "too old"))
            .does(Watch, refusal(410, "", "too old"))
            .gone(2)
            .once(&["!b"]),
        script("an object that is too long keeps its last version, and the watch goes on")
            .on(Watch, |state, _| {
                let mut parts = vec![head()];
                for value in ["2", "3", "4"] {
                    parts.push(line(&lengthened(&state.spoil("b"))));
                    parts.push(line(&state.put("c", value)));
                }
                parts.push(line(&lengthened(&state.remove("b"))));
                [parts, vec![end()]].concat()
            })
            .limits(|limits| Limits { line: 8_000, ..limits })
            .once(&["+c=2", "+c=3", "+c=4", "-b"])
            .check(|stats| (stats.rejected != 3).then(|| "not rejected three times".to_owned())),
        script("what is too long and nobody can name is found by a list beside the watch")
            .on(Watch, |state, _| {
                state.put("b", "2");
                let nameless = format!(
                    r#"{{"type":"MODIFIED","object":{{"spec":"{}","metadata":{{"name":"b"}}}}}}"#,
                    "x".repeat(60_000)
                );
                vec![head(), line(&nameless), line(&state.put("c", "2")), Part::Hang]
            })
            .limits(|limits| Limits { line: 8_000, ..limits })
            .forced(1)
            .once(&["+b=2", "+c=2"]),
        script("an object nested 100,000 deep harms no other")
            .on(List, |state, _| {
                let deep = ["[".repeat(100_000), "]".repeat(100_000)].concat();
                let deep = format!(
                    r#"{{"metadata":{{"namespace":"n","name":"deep","resourceVersion":"9"}},"spec":{deep}}}"#
                );
                let good = object("a", &state.objects["a"]);
                let rest = ["b", "c"].map(|name| object(name, &state.objects[name]));
                let items = [vec![deep, good], rest.to_vec()].concat();
                vec![ok(&page_of(state.version, &items, ""))]
            })
            .once(&["!deep", "+a=1"]),
        script("a list with an object that has no name removes nothing")
            .does(Watch, refusal(410, "", "too old"))
            .on(List, |state, _| {
                let items = [object("a", &state.objects["a"]), r#"{"spec":{}}"#.to_owned()];
                vec![ok(&page_of(state.version, &items, ""))]
            })
            .gone(1)
            .never(&["-b", "-c"]),
        script("a null in a list removes nothing")
            .does(Watch, refusal(410, "", "too old"))
            .on(List, |state, _| vec![ok(&page_of(state.version, &["null".to_owned()], ""))])
            .gone(1)
            .never(&["-a", "-b", "-c"]),
        script("an object on two pages is said once")
            .on(List, |state, _| vec![ok(&state.page(&["a", "b"], "more"))])
            .on(Page, |state, _| vec![ok(&state.page(&["b", "c"], ""))])
            .once(&["+a=1", "+b=1", "+c=1"]),
    ]
}

/// The same event about an object of 60,000 bytes.
fn lengthened(event: &str) -> String {
    event.replace(r#""spec":"#, &format!(r#""status":"{}","spec":"#, "x".repeat(60_000)))
}
