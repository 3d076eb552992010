//! Requests to the API server, each with a deadline and a limit; connections that notice silence.
//!
//! HTTP/1.1 without a proxy, without compression and, inside a cluster, without DNS. kube reads
//! kubeconfigs and makes credentials; the connections are our own, because only so everything
//! about them has a deadline.

mod access;
mod alternatives;
mod connect;
mod error;
mod options;
mod request;

use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

pub(crate) use error::{Effect, read_status, retry_after};
pub use error::{Error, ErrorKind, SetupError};
pub use options::{Given, Options, Timeouts};
pub use request::Answer;
pub(crate) use request::Stream;
use tracing::{info, warn};

use self::{access::Access, alternatives::Alternatives, connect::Connection};

/// Idle connections that are kept.
const MAX_IDLE: usize = 4;

/// A client of the API server. Clones share connections and credentials.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    /// The longest time of one request as a whole, a watch excepted.
    deadline: Duration,
}

struct Shared {
    options: Options,
    access: Mutex<Current>,
    /// Only one task at a time looks at the files.
    reading: tokio::sync::Mutex<()>,
    /// A TLS error or a 401 has been seen since the files were looked at.
    is_doubtful: AtomicBool,
    alternatives: Alternatives,
    idle: Mutex<Vec<(Connection, Instant)>>,
}

struct Current {
    access: Arc<Access>,
    looked_at: Instant,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("options", &self.shared.options).finish_non_exhaustive()
    }
}

impl Client {
    /// Reads where the server is and who we are. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// What is missing or wrong in environment, files or options.
    pub async fn new(options: Options) -> Result<Self, SetupError> {
        let access = Arc::new(Access::load(&options).await?);
        let alternatives = Alternatives::remembered(options.alternatives.clone());
        let access = Mutex::new(Current { access, looked_at: Instant::now() });
        let shared = Shared {
            options,
            access,
            reading: tokio::sync::Mutex::new(()),
            is_doubtful: AtomicBool::new(false),
            alternatives,
            idle: Mutex::new(Vec::new()),
        };
        Ok(Self { deadline: shared.options.timeouts.request, shared: Arc::new(shared) })
    }

    /// The same client, whose requests take at most that long.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        Self { shared: Arc::clone(&self.shared), deadline }
    }

    /// Other addresses of the same server, tried in turn when the first one does not answer: the
    /// endpoints of `default/kubernetes`. At most 16; an empty list forgets nothing.
    pub fn set_alternatives(&self, addresses: Vec<SocketAddr>) {
        self.shared.alternatives.set(addresses);
    }

    /// An idle connection, or a new one; and whether it is new.
    async fn connection(&self) -> Result<(Connection, Arc<Access>, bool), Error> {
        let access = self.access().await;
        while let Some((connection, since)) = lock(&self.shared.idle).pop() {
            let is_fresh = since.elapsed() < self.shared.options.timeouts.request;
            if is_fresh && !connection.sender.is_closed() {
                return Ok((connection, access, false));
            }
        }
        let timeouts = self.shared.options.timeouts;
        let (preferred, alternatives) = self.shared.alternatives.get(Instant::now());
        if preferred.is_none() {
            self.shared.alternatives.forget_preferred();
        }
        let connected = connect::connect(&access, preferred, &alternatives, timeouts.connect).await;
        match connected {
            Ok((connection, address)) => {
                self.shared.alternatives.answered(address, Instant::now() + timeouts.prefer);
                Ok((connection, access, true))
            }
            Err(error) => {
                self.shared.alternatives.forget_preferred();
                self.doubt(&error);
                Err(error)
            }
        }
    }

    /// Keeps a connection on which an answer has come to its end.
    fn keep(&self, connection: Connection) {
        let mut idle = lock(&self.shared.idle);
        if idle.len() < MAX_IDLE {
            idle.push((connection, Instant::now()));
        }
    }

    /// After this error other connections may be no better, and credentials may be old.
    fn doubt(&self, error: &Error) {
        if matches!(error.kind(), ErrorKind::Tls | ErrorKind::Unauthorized) {
            self.shared.is_doubtful.store(true, Relaxed);
        }
        if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::Interrupted) {
            lock(&self.shared.idle).clear();
        }
    }

    /// How to reach the server; files that have changed are read again.
    async fn access(&self) -> Arc<Access> {
        let shared = &self.shared;
        let _reading = shared.reading.lock().await;
        let (access, looked_at) = {
            let current = lock(&shared.access);
            (current.access.clone(), current.looked_at)
        };
        let is_doubtful = shared.is_doubtful.load(Relaxed);
        let interval = shared.options.timeouts.reread / if is_doubtful { 30 } else { 1 };
        if looked_at.elapsed() < interval {
            return access;
        }
        shared.is_doubtful.store(false, Relaxed);
        let looked = access.clone();
        let is_outdated = tokio::task::spawn_blocking(move || looked.is_outdated()).await;
        // Doubt alone is a reason too: an exec plugin's token leaves no trace in a file.
        let access = if is_doubtful || is_outdated.unwrap_or(true) {
            match Access::load(&shared.options).await {
                Ok(access) => {
                    info!("credentials and certificates of the API server read again");
                    lock(&shared.idle).clear();
                    Arc::new(access)
                }
                Err(why) => {
                    warn!(%why, "cannot read the API server's credentials again; the old ones stay");
                    access
                }
            }
        } else {
            access
        };
        *lock(&shared.access) = Current { access: access.clone(), looked_at: Instant::now() };
        access
    }
}

/// Takes what a thread that panicked has left: no value here is half written.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
