//! The command line's end of the control socket: one request, one answer.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Method, Request, StatusCode, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use redirector_core::{
    explain::{Explanation, NotInstalled},
    input::{Drained, Verb},
};
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::{CarriedOut, Effect};

/// The longest answer: a service of 65,535 backends, explained.
const MAX_ANSWER: usize = 64 << 20;

/// How long an answer may take, that of 10,000 services explained included.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the agent may take to say what an answer from the maps lacks.
const STATUS_TIMEOUT: Duration = Duration::from_secs(2);

/// Who speaks to the agent.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
    timeout: Duration,
}

impl Client {
    /// Speaks through the socket at `path`.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { socket: path.to_owned(), timeout: ANSWER_TIMEOUT }
    }

    /// Has an order carried out; when this returns, these are in force and kept: the order itself, or
    /// one for each port of the service that it names.
    ///
    /// # Errors
    ///
    /// There is no agent, or it refuses: the text says why.
    pub fn order(&self, order: &Verb) -> Result<Vec<CarriedOut>> {
        let body = serde_json::to_vec(order).context("cannot write the order")?;
        let answer = self.request(Method::POST, "/orders?effects=true", body)?;
        let unknown = |order| CarriedOut { order, effect: Effect::Unknown };
        if answer.is_empty() {
            return Ok(vec![unknown(order.clone())]);
        }
        // An agent before this one answers with the orders alone.
        let orders: Result<Vec<Verb>, _> = serde_json::from_slice(&answer);
        if let Ok(orders) = orders {
            return Ok(orders.into_iter().map(unknown).collect());
        }
        serde_json::from_slice(&answer).context("the agent's answer is not understood")
    }

    /// Whether all of these are possible: before the first of several is carried out.
    ///
    /// # Errors
    ///
    /// There is no agent, or it says why one is not. An agent before this one has no such answer, and
    /// says nothing.
    pub fn check(&self, orders: &[Verb]) -> Result<()> {
        let body = serde_json::to_vec(orders).context("cannot write the orders")?;
        match self.request(Method::POST, "/orders/check", body) {
            Err(error) if error.to_string().is_empty() => Ok(()),
            answer => answer.map(drop),
        }
    }

    /// The orders in force.
    ///
    /// # Errors
    ///
    /// There is no agent.
    pub fn orders(&self) -> Result<Vec<Verb>> {
        self.get("/orders")
    }

    /// Why the traffic of a service, or of all, goes where it goes; or where it would go if `dead`
    /// were.
    ///
    /// # Errors
    ///
    /// There is no agent, or no such service.
    pub fn explain(&self, service: Option<&str>, dead: &[Drained]) -> Result<Vec<Explanation>> {
        let dead: Vec<String> = dead.iter().map(Drained::to_string).collect();
        let mut query = form_urlencoded::Serializer::new(String::new());
        if let Some(service) = service {
            query.append_pair("service", service);
        }
        let query = query.append_pair("dead", &dead.join(",")).finish();
        self.get(&format!("/explain?{query}"))
    }

    /// Where traffic would go if `dead` were and these clusters were silent.
    ///
    /// # Errors
    ///
    /// There is no agent, no such service or cluster, or it is one before this one and cannot suppose a
    /// silence.
    pub fn simulate(
        &self,
        service: Option<&str>,
        dead: &[Drained],
        silent: &[Drained],
    ) -> Result<Vec<Explanation>> {
        if silent.is_empty() {
            return self.explain(service, dead);
        }
        let list = |subjects: &[Drained]| {
            subjects.iter().map(Drained::to_string).collect::<Vec<_>>().join(",")
        };
        let mut query = form_urlencoded::Serializer::new(String::new());
        if let Some(service) = service {
            query.append_pair("service", service);
        }
        let query = query.append_pair("dead", &list(dead)).append_pair("silent", &list(silent));
        match self.get(&format!("/simulate?{}", query.finish())) {
            Err(error) if error.to_string().is_empty() => {
                bail!("the agent is older than this command, and cannot suppose a silence")
            }
            answer => answer,
        }
    }

    /// What services want that the kernel does not have.
    ///
    /// # Errors
    ///
    /// There is no agent, it does not answer soon, or it is one before this one.
    pub fn not_installed(&self) -> Result<Vec<NotInstalled>> {
        Self { timeout: STATUS_TIMEOUT, ..self.clone() }.get("/not-installed")
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let answer = self.request(Method::GET, path, Vec::new())?;
        serde_json::from_slice(&answer).context("the agent's answer is not understood")
    }

    fn request(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Bytes> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the runtime")?;
        let is_order = method == Method::POST;
        runtime.block_on(async {
            let answer = tokio::time::timeout(self.timeout, self.ask(method, path, body)).await;
            answer.with_context(|| {
                // The connection is closed by now: the agent does not begin with the order any more.
                let withdrawn = if is_order {
                    "; the order is withdrawn, unless the agent had begun with it: `redirector \
                     orders` tells once it answers"
                } else {
                    ""
                };
                format!(
                    "the agent at {} has not answered for {:?}: it is stopped, or hangs; \
                     `redirector status` says since when{withdrawn}",
                    self.socket.display(),
                    self.timeout
                )
            })?
        })
    }

    async fn ask(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Bytes> {
        let stream = UnixStream::connect(&self.socket).await.with_context(|| {
            format!(
                "cannot reach the agent at {}; is one running on this node, with this --run-dir, \
                 and is this its user?",
                self.socket.display()
            )
        })?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.context("cannot speak to the agent")?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "agent")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .context("cannot write the request")?;
        let response = sender.send_request(request).await.context("the agent does not answer")?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(anyhow::Error::from_boxed).context("the agent breaks off")?;
        let body = body.to_bytes();
        match status {
            StatusCode::OK | StatusCode::NO_CONTENT => Ok(body),
            _ => bail!("{}", String::from_utf8_lossy(&body)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    /// A process that is stopped: the kernel takes the connection for it.
    #[test]
    fn an_agent_that_does_not_answer_is_waited_for_no_longer_than_that() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("control.sock");
        let _stopped = UnixListener::bind(&path).expect("a socket");
        let client = Client { timeout: Duration::from_millis(50), ..Client::new(&path) };
        let asked = client.orders().expect_err("no answer").to_string();
        assert!(asked.contains("has not answered for 50ms: it is stopped, or hangs"), "{asked}");
        let order = Verb::Drain("node=n9".parse().expect("a subject"));
        let ordered = client.order(&order).expect_err("no answer").to_string();
        assert!(ordered.contains("; the order is withdrawn, unless"), "{ordered}");
    }
}
