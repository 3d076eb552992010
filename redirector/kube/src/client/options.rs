//! Where the API server is to be found, and how long it may take.

use std::{fmt, path::PathBuf, time::Duration};

/// How to find the API server. Without a kubeconfig or a context: as a pod does.
#[derive(Clone, Debug)]
pub struct Options {
    /// The API server and a token for it, whatever kubeconfig, context and environment say.
    pub given: Option<Given>,
    /// A kubeconfig file.
    pub kubeconfig: Option<PathBuf>,
    /// A context of it, or of the one that kubectl would read.
    pub context: Option<String>,
    /// `https://ADDRESS:PORT`, dialled instead of what environment or kubeconfig say; the name
    /// that the certificate must have stays theirs.
    pub api_server: Option<String>,
    /// The directory with a pod's `token` and `ca.crt`.
    pub account: PathBuf,
    /// A file that remembers the alternatives, one address a line, for a start without the
    /// server's first address.
    pub alternatives: Option<PathBuf>,
    /// How long things may take.
    pub timeouts: Timeouts,
}

/// An API server as an object names it. `Debug` does not show the token.
#[derive(Clone, PartialEq, Eq)]
pub struct Given {
    /// Its URL. The name in it is what the certificate must have.
    pub server: String,
    /// Certificates that vouch for it, as PEM; `None` is those of the system.
    pub ca: Option<Vec<u8>>,
    /// What is sent as `Authorization: Bearer`.
    pub token: String,
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Given").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            given: None,
            kubeconfig: None,
            context: None,
            api_server: None,
            account: "/var/run/secrets/kubernetes.io/serviceaccount".into(),
            alternatives: None,
            timeouts: Timeouts::default(),
        }
    }
}

/// How long things may take, and how much an answer may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP and TLS, for each address. 5 s.
    pub connect: Duration,
    /// The longest time from the request to the answer's headers, connecting not counted. 10 s.
    pub first_byte: Duration,
    /// The longest time of one request as a whole, a watch excepted. 30 s.
    pub request: Duration,
    /// Between looks at the files with CA, token and keys. 30 s; after a TLS error or a 401 a
    /// thirtieth of it.
    pub reread: Duration,
    /// How long an alternative that answered is preferred to the first address. 60 s.
    pub prefer: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_byte: Duration::from_secs(10),
            request: Duration::from_secs(30),
            reread: Duration::from_secs(30),
            prefer: Duration::from_secs(60),
        }
    }
}

impl Timeouts {
    /// Each divided by `divisor`, at least 1.
    #[must_use]
    pub fn divided_by(mut self, divisor: u32) -> Self {
        let Self { connect, first_byte, request, reread, prefer } = &mut self;
        for time in [connect, first_byte, request, reread, prefer] {
            *time /= divisor.max(1);
        }
        self
    }
}
