//! One request and its answer.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::{Instant, timeout, timeout_at};

use super::{Access, Client, Connection, Error, error};

/// Bytes that are read of an answer that is no success, at most.
const MAX_REFUSAL: usize = 64 << 10;

/// Bytes of an answer to a single request, at most.
const MAX_ANSWER: usize = 16 << 20;

/// An answer that is a success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// 200 to 299.
    pub status: StatusCode,
    /// The body, of at most 16 MiB.
    pub body: Bytes,
}

impl Answer {
    /// The body as an object.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`]: it is none of that kind.
    pub fn object<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let object = serde_json::from_slice(&self.body);
        object.map_err(|why| Error::Malformed(why.to_string()))
    }
}

/// An answer that comes in pieces.
pub(crate) struct Stream {
    body: Incoming,
    connection: Connection,
    status: StatusCode,
}

/// What is sent.
#[derive(Clone)]
struct Question<'a> {
    method: Method,
    path: &'a str,
    media: &'static str,
    body: Bytes,
}

impl Client {
    /// Reads one object, or anything else below `path`, which may have a query.
    ///
    /// # Errors
    ///
    /// Any [`Error`]; statuses that are no success are errors too.
    pub async fn get(&self, path: &str) -> Result<Answer, Error> {
        let first_byte = self.shared.options.timeouts.first_byte;
        self.whole(Question::get(path), MAX_ANSWER, first_byte, self.deadline).await
    }

    /// Creates an object in the collection `path`.
    ///
    /// # Errors
    ///
    /// As [`Client::get`], and [`Error::Malformed`] for what cannot be written as JSON.
    pub async fn post(&self, path: &str, object: &impl Serialize) -> Result<Answer, Error> {
        self.ask(Method::POST, path, "application/json", json(object)?).await
    }

    /// Replaces the object at `path`; with a `resourceVersion` in it only that version, else
    /// [`Error::Conflict`].
    ///
    /// # Errors
    ///
    /// As [`Client::post`].
    pub async fn put(&self, path: &str, object: &impl Serialize) -> Result<Answer, Error> {
        self.ask(Method::PUT, path, "application/json", json(object)?).await
    }

    /// Changes the object at `path` by a JSON merge patch (RFC 7396).
    ///
    /// # Errors
    ///
    /// As [`Client::post`].
    pub async fn patch(&self, path: &str, patch: &impl Serialize) -> Result<Answer, Error> {
        self.ask(Method::PATCH, path, "application/merge-patch+json", json(patch)?).await
    }

    /// Applies an object on the server's side; `path` needs the query `fieldManager=…`.
    ///
    /// # Errors
    ///
    /// As [`Client::post`].
    pub async fn apply(&self, path: &str, object: &impl Serialize) -> Result<Answer, Error> {
        self.ask(Method::PATCH, path, "application/apply-patch+yaml", json(object)?).await
    }

    /// Deletes the object at `path`, as `options` (`meta/v1 DeleteOptions`) say; with a uid or version
    /// in their preconditions only that one, else [`Error::Conflict`].
    ///
    /// # Errors
    ///
    /// As [`Client::post`].
    pub async fn delete(&self, path: &str, options: &impl Serialize) -> Result<Answer, Error> {
        self.ask(Method::DELETE, path, "application/json", json(options)?).await
    }

    /// Reads all of an answer, at most `limit` bytes, within the deadlines.
    pub(crate) async fn read(
        &self,
        path: &str,
        limit: usize,
        first_byte: Duration,
        within: Duration,
    ) -> Result<Bytes, Error> {
        Ok(self.whole(Question::get(path), limit, first_byte, within).await?.body)
    }

    /// Asks for `path` and leaves the answer's body to the caller, who has deadlines of his own.
    pub(crate) async fn open(&self, path: &str, first_byte: Duration) -> Result<Stream, Error> {
        self.send(Question::get(path), first_byte).await
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        media: &'static str,
        body: Bytes,
    ) -> Result<Answer, Error> {
        let question = Question { method, path, media, body };
        let first_byte = self.shared.options.timeouts.first_byte;
        self.whole(question, MAX_ANSWER, first_byte, self.deadline).await
    }

    /// Reads all of an answer, at most `limit` bytes, within the deadlines.
    async fn whole(
        &self,
        question: Question<'_>,
        limit: usize,
        first_byte: Duration,
        after: Duration,
    ) -> Result<Answer, Error> {
        let ask = async {
            let stream = self.send(question, first_byte).await?;
            self.finish(stream, limit, "answer").await
        };
        let late = Err(Error::TimedOut { what: "no complete answer", after });
        let result = timeout(after, ask).await.unwrap_or(late);
        if let Err(error) = &result {
            self.doubt(error);
        }
        result
    }

    /// Sends on an idle connection; if that has ended meanwhile, on a new one.
    async fn send(&self, question: Question<'_>, first_byte: Duration) -> Result<Stream, Error> {
        loop {
            let (mut connection, access, is_new) = self.connection().await?;
            let deadline = Instant::now() + first_byte;
            let late = Error::TimedOut { what: "no answer", after: first_byte };
            let Ok(headers) = timeout_at(deadline, access.headers()).await else {
                return Err(late);
            };
            let request = question.clone().request(&access, headers?)?;
            let sent = timeout_at(deadline, async {
                // A connection that was kept may not have come to rest yet.
                let _ = connection.sender.ready().await;
                connection.sender.try_send_request(request).await
            });
            let Ok(sent) = sent.await else {
                self.doubt(&late);
                return Err(late);
            };
            match sent {
                Ok(response) => {
                    return self.judge(question.path, response, connection, deadline).await;
                }
                Err(mut failed) => {
                    let was_not_sent = failed.take_message().is_some();
                    let is_repeatable = was_not_sent || question.method == Method::GET;
                    if !is_new && is_repeatable {
                        continue;
                    }
                    let error = Error::Interrupted(failed.into_error());
                    self.doubt(&error);
                    return Err(error);
                }
            }
        }
    }

    /// Makes an error of what is no success.
    async fn judge(
        &self,
        path: &str,
        response: Response<Incoming>,
        connection: Connection,
        deadline: Instant,
    ) -> Result<Stream, Error> {
        let (head, body) = response.into_parts();
        let encoding = head.headers.get(header::CONTENT_ENCODING).map(header_text);
        if let Some(encoding) = encoding.filter(|encoding| encoding != "identity") {
            return Err(Error::Encoded(encoding));
        }
        let stream = Stream { body, connection, status: head.status };
        if head.status.is_success() {
            return Ok(stream);
        }
        let read = self.finish(stream, MAX_REFUSAL, "refusal");
        let body = match timeout_at(deadline, read).await {
            Ok(Ok(answer)) => answer.body,
            // The status alone says enough.
            Ok(Err(_)) | Err(_) => Bytes::new(),
        };
        let status = error::read_status(&body);
        let retry_after = retry_after(&head.headers).or_else(|| error::retry_after(&status));
        let error = Error::of_status(head.status, path, retry_after, &status);
        self.doubt(&error);
        Err(error)
    }

    /// Reads the rest of an answer and keeps the connection.
    async fn finish(
        &self,
        mut stream: Stream,
        limit: usize,
        what: &'static str,
    ) -> Result<Answer, Error> {
        let mut body = BytesMut::new();
        while let Some(chunk) = stream.chunk().await? {
            if body.len() + chunk.len() > limit {
                return Err(Error::TooLarge { what, limit });
            }
            body.extend_from_slice(&chunk);
        }
        let Stream { connection, status, .. } = stream;
        self.keep(connection);
        Ok(Answer { status, body: body.freeze() })
    }
}

impl Stream {
    /// The next piece; none at the answer's proper end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        while let Some(frame) = self.body.frame().await {
            if let Ok(data) = frame.map_err(Error::Interrupted)?.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }
}

impl<'a> Question<'a> {
    fn get(path: &'a str) -> Self {
        Self { method: Method::GET, path, media: "application/json", body: Bytes::new() }
    }

    fn request(
        self,
        access: &Access,
        credentials: HeaderMap,
    ) -> Result<Request<Full<Bytes>>, Error> {
        let Self { method, path, media, body } = self;
        let Access { host, port, prefix, .. } = access;
        let host =
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{prefix}{path}"))
            .header(header::HOST, host)
            .header(header::ACCEPT, "application/json")
            .header(header::ACCEPT_ENCODING, "identity")
            .header(header::USER_AGENT, concat!("redirector/", env!("CARGO_PKG_VERSION")));
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, media);
        }
        let request = request.body(Full::new(body));
        let mut request = request.map_err(|why| Error::Malformed(format!("{path}: {why}")))?;
        request.headers_mut().extend(credentials);
        Ok(request)
    }
}

fn json(object: &impl Serialize) -> Result<Bytes, Error> {
    let json = serde_json::to_vec(object);
    Ok(json.map_err(|why| Error::Malformed(format!("our own object: {why}")))?.into())
}

/// `Retry-After` in seconds, which is the only form that the API server uses.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = header_text(headers.get(header::RETRY_AFTER)?).parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn header_text(value: &http::HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).trim().chars().take(64).collect()
}
