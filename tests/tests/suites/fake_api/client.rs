//! A client that hides nothing: one request, its code and its body, and watches line by line.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use redirector_tests::api::{Api, Options};
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};

/// Longer than anything here takes.
pub const LONGEST: Duration = Duration::from_secs(10);

/// A server without TLS: the tests look at HTTP.
pub fn plain(options: Options) -> Api {
    Api::start(Options { tls: false, ..options }).expect("a server")
}

/// One answer.
#[derive(Debug)]
pub struct Answer {
    pub code: u16,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("no JSON: {error}: {:?}", self.text))
    }

    /// Panics unless it has that code and reason.
    pub fn refused(&self, code: u16, reason: &str) -> Value {
        let status = self.json();
        assert_eq!((self.code, status["reason"].as_str()), (code, Some(reason)), "{status}");
        assert_eq!(status["kind"], "Status");
        assert_eq!(status["code"], code);
        status
    }

    /// Panics unless all is well.
    pub fn good(&self) -> Value {
        assert!((200..300).contains(&self.code), "{} {}", self.code, self.text);
        self.json()
    }
}

/// Sends a request with the administrator's token. Errors: the connection failed.
pub async fn send(
    api: &Api,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Response<Incoming>, String> {
    let stream = TcpStream::connect(api.address()).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    // It ends with its last answer.
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path).header("host", "test");
    if !headers.iter().any(|(name, _)| *name == "authorization") {
        request = request.header("authorization", "Bearer admin-token");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::from(body.to_owned()))).expect("a request");
    sender.send_request(request).await.map_err(|error| error.to_string())
}

/// A request and its whole answer. Errors: the connection failed, before or within the answer.
pub async fn try_call(
    api: &Api,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Answer, String> {
    let work = async {
        let response = send(api, method, path, headers, body).await?;
        let code = response.status().as_u16();
        let bytes = response.into_body().collect().await.map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&bytes.to_bytes()).into_owned();
        Ok(Answer { code, text })
    };
    timeout(LONGEST, work).await.unwrap_or_else(|_| panic!("{method} {path} got no answer"))
}

pub async fn call(api: &Api, method: &str, path: &str, body: &Value) -> Answer {
    let headers = [("content-type", "application/json")];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    try_call(api, method, path, &headers, &body).await.unwrap_or_else(|why| panic!("{path}: {why}"))
}

pub async fn get(api: &Api, path: &str) -> Answer {
    call(api, "GET", path, &Value::Null).await
}

/// A PATCH of that kind: `merge-patch+json`, `apply-patch+yaml`.
pub async fn patch(api: &Api, path: &str, kind: &str, body: &Value) -> Answer {
    let kind = format!("application/{kind}");
    let headers = [("content-type", kind.as_str())];
    try_call(api, "PATCH", path, &headers, &body.to_string()).await.expect("an answer")
}

/// A watch that runs.
#[derive(Debug)]
pub struct Watch {
    body: Incoming,
    buffer: Vec<u8>,
}

impl Watch {
    pub async fn start(api: &Api, path: &str) -> Self {
        let response = send(api, "GET", path, &[], "").await.expect("a watch");
        assert_eq!(response.status().as_u16(), 200, "{path}");
        Self { body: response.into_body(), buffer: Vec::new() }
    }

    /// The next line, or why there is none: `end`, or that it was cut.
    pub async fn line(&mut self) -> Result<String, String> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            let frame = timeout(LONGEST, self.body.frame()).await;
            match frame.expect("a line, or an end, within 10 s") {
                None => return Err("end".to_owned()),
                Some(Err(error)) => return Err(error.to_string()),
                Some(Ok(frame)) => {
                    self.buffer.extend_from_slice(frame.data_ref().expect("bytes"));
                }
            }
        }
    }

    /// Type and object of the next event.
    pub async fn event(&mut self) -> (String, Value) {
        let line = self.line().await.expect("an event");
        let mut event: Value = serde_json::from_str(&line).expect("an event is JSON");
        (event["type"].as_str().expect("a type").to_owned(), event["object"].take())
    }

    /// Type and name of the next event.
    pub async fn named(&mut self) -> (String, String) {
        let (kind, object) = self.event().await;
        (kind, object["metadata"]["name"].as_str().unwrap_or_default().to_owned())
    }

    /// Panics if anything is said within a short time.
    pub async fn says_nothing(&mut self) {
        let frame = timeout(Duration::from_millis(300), self.body.frame()).await;
        assert!(frame.is_err() && self.buffer.is_empty(), "{frame:?} {:?}", self.buffer);
    }
}
