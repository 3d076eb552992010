//! As much of an API server as the reporter talks to: objects with versions, and faults.

use std::{
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use redirector_kube::client::{Client, Options, Timeouts};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// A server that answers until it is dropped.
pub struct Server {
    pub state: Arc<Mutex<State>>,
    port: u16,
    task: tokio::task::JoinHandle<()>,
    directory: tempfile::TempDir,
}

#[derive(Default)]
pub struct State {
    /// The objects by path.
    pub objects: BTreeMap<String, Value>,
    pub log: Vec<Asked>,
    faults: VecDeque<(&'static str, String, Fault)>,
    /// Every connection is closed at once.
    pub is_away: bool,
    version: u64,
    /// Requests that no API server would understand; they fail the test.
    senseless: Vec<String>,
}

/// A request that was answered, or would have been.
#[derive(Clone, Debug)]
pub struct Asked {
    pub at: Instant,
    pub method: String,
    pub path: String,
    pub body: Value,
    pub status: u16,
}

/// What becomes of one request.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// Carried out, but the connection breaks before the answer.
    LoseAnswer,
    /// Not carried out, and answered by this status.
    Status(u16),
    /// Carried out, but answered that late.
    Late(Duration),
}

impl Server {
    pub async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let state = Arc::new(Mutex::new(State::default()));
        let of_task = state.clone();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("accept");
                tokio::spawn(serve(stream, of_task.clone()));
            }
        });
        let directory = tempfile::tempdir().expect("a temporary directory");
        Self { state, port, task, directory }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no request panicked")
    }

    pub async fn client(&self) -> Client {
        let path: PathBuf = self.directory.path().join("kubeconfig");
        let kubeconfig = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
             clusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:{}'}}}}]\n\
             contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
             users: [{{name: u, user: {{}}}}]\n",
            self.port
        );
        std::fs::write(&path, kubeconfig).expect("it can be written");
        let timeouts = Timeouts::default();
        let options = Options { kubeconfig: Some(path), timeouts, ..Options::default() };
        Client::new(options).await.expect("the kubeconfig is valid")
    }

    /// What becomes of the next request of that method whose path contains that text.
    pub fn fault(&self, method: &'static str, path: &str, fault: Fault) {
        self.state().faults.push_back((method, path.to_owned(), fault));
    }

    pub fn put(&self, path: &str, object: Value) {
        self.state().store(path, object);
    }

    /// Requests of that method whose path contains that text.
    pub fn asked(&self, method: &str, path: &str) -> Vec<Asked> {
        let is_meant = |asked: &&Asked| asked.method == method && asked.path.contains(path);
        self.state().log.iter().filter(is_meant).cloned().collect()
    }

    /// All Events, by path.
    pub fn events(&self) -> BTreeMap<String, Value> {
        let objects = self.state().objects.clone();
        objects.into_iter().filter(|(path, _)| path.contains("/events/")).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
        if !std::thread::panicking() {
            assert_eq!(self.state().senseless, [""; 0]);
        }
    }
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    while let Some((head, body)) = request(&mut stream).await {
        let Some((method, path, media, body)) = understood(&head, &body) else {
            let request = format!("{head}\r\n\r\n{}", String::from_utf8_lossy(&body));
            return state.lock().expect("no request panicked").senseless.push(request);
        };
        let (answer, fault) = {
            let mut state = state.lock().expect("no request panicked");
            if state.is_away {
                return;
            }
            let fault = state.fault(&method, &path);
            let (status, answer) = match fault {
                Some(Fault::Status(status)) => (status, json!({ "message": "a fault" })),
                _ => state.answer(&method, &path, &media, &body),
            };
            let at = Instant::now();
            state.log.push(Asked { at, method, path, body, status });
            let answer = answer.to_string();
            let head = "Content-Type: application/json\r\nContent-Length";
            (format!("HTTP/1.1 {status} S\r\n{head}: {}\r\n\r\n{answer}", answer.len()), fault)
        };
        match fault {
            Some(Fault::LoseAnswer) => return,
            Some(Fault::Late(by)) => tokio::time::sleep(by).await,
            Some(Fault::Status(_)) | None => {}
        }
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Head and body; `None` at the end of the connection.
async fn request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut read = Vec::new();
    let head_end = loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        let count = stream.read_buf(&mut read).await.ok()?;
        (count > 0).then_some(())?;
    };
    let mut body = read.split_off(head_end + 4);
    let head = String::from_utf8_lossy(&read[..head_end]).into_owned();
    let length = header(&head, "content-length").map_or(0, |text| text.parse().unwrap_or(0));
    while body.len() < length {
        let count = stream.read_buf(&mut body).await.ok()?;
        (count > 0).then_some(())?;
    }
    Some((head, body))
}

/// Method, path, media type and body.
fn understood(head: &str, body: &[u8]) -> Option<(String, String, String, Value)> {
    let mut words = head.lines().next()?.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let body = match body {
        [] => Value::Null,
        body => serde_json::from_slice(body).ok()?,
    };
    Some((method, path, header(head, "content-type").unwrap_or_default().to_owned(), body))
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut headers = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    headers.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

impl State {
    fn fault(&mut self, method: &str, path: &str) -> Option<Fault> {
        let is_meant = |(of, part, _): &(&str, String, Fault)| *of == method && path.contains(part);
        let index = self.faults.iter().position(is_meant)?;
        self.faults.remove(index).map(|(.., fault)| fault)
    }

    fn store(&mut self, path: &str, mut object: Value) -> Value {
        self.version += 1;
        let old = self.objects.get(path);
        let uid = old.map_or_else(
            || json!(format!("uid-{}", self.version)),
            |old| old["metadata"]["uid"].clone(),
        );
        if object["metadata"]["uid"].is_null() {
            object["metadata"]["uid"] = uid;
        }
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.objects.insert(path.to_owned(), object.clone());
        object
    }

    fn answer(&mut self, method: &str, path: &str, media: &str, body: &Value) -> (u16, Value) {
        let path = path.split('?').next().unwrap_or_default();
        let subresource = path.strip_suffix("/status");
        let of = subresource.unwrap_or(path);
        let name = of.rsplit('/').next().unwrap_or_default();
        if method == "POST" {
            let path = format!("{path}/{}", body["metadata"]["name"].as_str().expect("a name"));
            return match self.objects.contains_key(&path) {
                true => (409, json!({ "message": "already exists" })),
                false => (201, self.store(&path, body.clone())),
            };
        }
        let Some(old) = self.objects.get(of).cloned() else {
            return (404, json!({ "message": format!("things \"{name}\" not found") }));
        };
        match (method, media) {
            ("GET", _) => (200, old),
            ("PUT", "application/json") => {
                let version = &body["metadata"]["resourceVersion"];
                if *version != old["metadata"]["resourceVersion"] {
                    return (409, json!({ "message": "the object has been modified" }));
                }
                (200, self.store(of, body.clone()))
            }
            ("PATCH", "application/merge-patch+json") => {
                let mut new = old;
                for (field, value) in body.as_object().expect("a patch is an object") {
                    new[field] = value.clone();
                }
                (200, self.store(of, new))
            }
            ("PATCH", "application/apply-patch+yaml") if subresource.is_some() => {
                if body["metadata"]["uid"] != old["metadata"]["uid"] {
                    return (409, json!({ "message": "uid mismatch" }));
                }
                let mut new = old;
                new["status"] = body["status"].clone();
                (200, self.store(of, new))
            }
            _ => {
                self.senseless.push(format!("{method} {path} of {media:?}"));
                (405, json!({ "message": "not allowed" }))
            }
        }
    }
}
