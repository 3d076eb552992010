//! What the scripted API server knows: objects, their history, and what a watcher should know.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Write,
    path::PathBuf,
};

use crate::tls::Identity;

/// What a step of a script is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// A connection, before anything is read from it.
    Connect,
    /// The first page of a list.
    List,
    /// A later page.
    Page,
    /// A watch.
    Watch,
}

/// What the server does with a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Sends this.
    Send(Vec<u8>),
    /// Waits for so many milliseconds.
    Pause(u64),
    /// Sends nothing more until the client closes.
    Hang,
    /// Closes properly.
    Close,
    /// Closes with RST.
    Reset,
    /// Answers the request as a server should.
    Honest,
    /// As [`Part::Honest`], but a watch closes after what there was to say.
    Replay,
}

/// A request as it came.
pub struct Request {
    pub path: String,
    pub head: String,
    pub body: String,
}

impl Request {
    /// Whether it came with this token.
    pub fn has_token(&self, token: &str) -> bool {
        let line = format!("authorization: bearer {token}\r\n");
        self.head.to_ascii_lowercase().contains(&line)
    }
}

/// What is done at one step.
pub type Act = Box<dyn FnOnce(&mut ServerState, &Request) -> Vec<Part> + Send>;

/// One version of an object; it has no spec that can be decoded when `value` is none.
#[derive(Clone, Debug)]
pub struct Stored {
    pub version: u64,
    pub value: Option<String>,
}

/// The server's state.
pub struct ServerState {
    pub version: u64,
    pub objects: BTreeMap<String, Stored>,
    /// Version and line of each event.
    pub history: Vec<(u64, String)>,
    /// What a watcher should know.
    pub reference: BTreeMap<String, String>,
    pub steps: VecDeque<(On, Act)>,
    pub identity: Identity,
    /// The directory with `token` and `ca.crt`.
    pub account: PathBuf,
    /// Once set, a request with any other token is answered by 401.
    pub token: Option<&'static str>,
    pub lists: usize,
    /// Connections that are being served.
    pub connections: usize,
    /// What a script expected in vain, or could not read.
    pub disappointed: Vec<String>,
}

impl ServerState {
    pub fn new(steps: VecDeque<(On, Act)>, account: PathBuf) -> Self {
        let mut state = Self {
            version: 100,
            objects: BTreeMap::new(),
            history: Vec::new(),
            reference: BTreeMap::new(),
            steps,
            identity: Identity::Good,
            account,
            token: None,
            lists: 0,
            connections: 0,
            disappointed: Vec::new(),
        };
        for (name, value) in [("a", "1"), ("b", "1"), ("c", "1")] {
            state.put(name, value);
        }
        state
    }

    /// Adds or changes an object; returns the line of its event.
    pub fn put(&mut self, name: &str, value: &str) -> String {
        self.reference.insert(name.to_owned(), value.to_owned());
        self.store(name, Some(value))
    }

    /// Stores a version that cannot be decoded; the last good one stays in force.
    pub fn spoil(&mut self, name: &str) -> String {
        self.store(name, None)
    }

    /// Removes an object; returns the line of its event.
    pub fn remove(&mut self, name: &str) -> String {
        self.version += 1;
        let stored = self.objects.remove(name).unwrap_or_else(|| panic!("{name} is not there"));
        self.reference.remove(name);
        let object = object(name, &Stored { version: self.version, ..stored });
        self.record(format!(r#"{{"type":"DELETED","object":{object}}}"#))
    }

    /// Forgets an event, as a server would that loses one.
    pub fn forget(&mut self, event: &str) {
        self.history.retain(|(_, line)| line != event);
    }

    /// A complete list.
    pub fn list(&self) -> String {
        let names: Vec<&str> = self.objects.keys().map(String::as_str).collect();
        self.page(&names, "")
    }

    /// A page with these objects; empty `next`: the last.
    pub fn page(&self, names: &[&str], next: &str) -> String {
        let items: Vec<String> =
            names.iter().map(|name| object(name, &self.objects[*name])).collect();
        page_of(self.version, &items, next)
    }

    fn store(&mut self, name: &str, value: Option<&str>) -> String {
        self.version += 1;
        let stored = Stored { version: self.version, value: value.map(str::to_owned) };
        let is_new = self.objects.insert(name.to_owned(), stored.clone()).is_none();
        let kind = if is_new { "ADDED" } else { "MODIFIED" };
        let object = object(name, &stored);
        self.record(format!(r#"{{"type":"{kind}","object":{object}}}"#))
    }

    fn record(&mut self, line: String) -> String {
        self.history.push((self.version, line.clone()));
        line
    }
}

/// One object as JSON.
pub fn object(name: &str, stored: &Stored) -> String {
    let Stored { version, value } = stored;
    let spec = value.as_ref().map_or("[3]".to_owned(), |value| format!(r#"{{"value":"{value}"}}"#));
    format!(
        r#"{{"kind":"Thing","metadata":{{"namespace":"n","name":"{name}","uid":"uid-{name}","resourceVersion":"{version}"}},"spec":{spec}}}"#
    )
}

/// A page of these items.
pub fn page_of(version: u64, items: &[String], next: &str) -> String {
    let items = items.join(",");
    format!(
        r#"{{"kind":"ThingList","apiVersion":"v1","metadata":{{"resourceVersion":"{version}","continue":"{next}"}},"items":[{items}]}}"#
    )
}

/// An event without an object of its own.
pub fn bookmark(version: u64) -> String {
    format!(
        r#"{{"type":"BOOKMARK","object":{{"kind":"Thing","metadata":{{"resourceVersion":"{version}"}}}}}}"#
    )
}

/// An `ERROR` event.
pub fn error_event(code: u16, message: &str) -> String {
    let status = status_object(code, message);
    format!(r#"{{"type":"ERROR","object":{status}}}"#)
}

fn status_object(code: u16, message: &str) -> String {
    format!(r#"{{"kind":"Status","status":"Failure","code":{code},"message":"{message}"}}"#)
}

/// A complete answer.
pub fn ok(body: &str) -> Part {
    answer(200, "content-type: application/json\r\n", body)
}

/// An answer that is no success.
pub fn refusal(code: u16, headers: &str, message: &str) -> Vec<Part> {
    vec![answer(code, headers, &status_object(code, message))]
}

/// A complete answer with these headers.
pub fn answer(code: u16, headers: &str, body: &str) -> Part {
    let length = body.len();
    Part::Send(
        format!("HTTP/1.1 {code} X\r\n{headers}content-length: {length}\r\n\r\n{body}").into(),
    )
}

/// The head of an answer in chunks.
pub fn head() -> Part {
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    Part::Send(head.into())
}

/// A whole answer of these events.
pub fn stream<const N: usize>(events: [impl AsRef<str>; N]) -> Vec<Part> {
    let events = events.iter().map(|event| line(event.as_ref()));
    [head()].into_iter().chain(events).chain([end()]).collect()
}

/// An answer that is cut in its middle.
pub fn half(body: &str) -> Vec<Part> {
    let length = body.len();
    let half = &body[..length / 2];
    let text = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{half}");
    vec![Part::Send(text.into()), Part::Close]
}

/// One chunk that is a line.
pub fn line(line: &str) -> Part {
    chunk(format!("{line}\n").as_bytes())
}

/// One chunk.
pub fn chunk(bytes: &[u8]) -> Part {
    let mut size = String::new();
    write!(size, "{:x}\r\n", bytes.len()).expect("strings take everything");
    Part::Send([size.as_bytes(), bytes, b"\r\n"].concat())
}

/// The end of an answer in chunks.
pub fn end() -> Part {
    Part::Send(b"0\r\n\r\n".to_vec())
}
