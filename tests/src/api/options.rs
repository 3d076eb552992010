//! How a server is started.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;

use super::{access::Token, failure::Cause};
use crate::netns::Netns;

/// Reads a FailoverPolicy as the CRD's schema would: sets defaults, or says what is wrong.
pub type Validate = Arc<dyn Fn(&mut Value) -> Result<(), Vec<Cause>> + Send + Sync>;

/// What a server is like.
#[derive(Clone)]
pub struct Options {
    /// Where it listens; port 0 is a free one.
    pub listen: SocketAddr,
    /// The network namespace in which it listens; without, that of the caller.
    pub netns: Option<Netns>,
    /// TLS with a certificate of a CA of its own; without, plain HTTP, over which kubectl sends no
    /// token.
    pub tls: bool,
    /// Names in the certificate beside its addresses, `localhost` and `kubernetes.default.svc`.
    pub names: Vec<String>,
    /// Tokens of the clients that may come. The first one is in the kubeconfig.
    pub tokens: Vec<Token>,
    /// How many changes of each kind are remembered; older versions are expired.
    pub window: usize,
    /// How often a watch that allows it gets a bookmark, where there is a version to tell. The first one
    /// comes after twice that.
    pub bookmarks: Duration,
    /// What is checked and defaulted in a FailoverPolicy.
    pub validate: Option<Validate>,
    /// Custom resources are served only while their CRD exists, in the versions that it serves.
    pub needs_crd: bool,
    /// The longest life of a token that a `TokenRequest` gets; it may be shorter than any real server's.
    pub longest_token: Duration,
}

impl Default for Options {
    /// On 127.0.0.1 with TLS and one administrator, `admin`.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            netns: None,
            tls: true,
            names: Vec::new(),
            tokens: vec![Token::administrator("admin-token", "admin")],
            window: 10_000,
            bookmarks: Duration::from_secs(60),
            validate: None,
            needs_crd: false,
            longest_token: Duration::from_hours(365 * 24),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            listen,
            netns,
            tls,
            names,
            tokens,
            window,
            bookmarks,
            validate,
            needs_crd,
            longest_token,
        } = self;
        f.debug_struct("Options")
            .field("listen", listen)
            .field("netns", netns)
            .field("tls", tls)
            .field("names", names)
            .field("tokens", tokens)
            .field("window", window)
            .field("bookmarks", bookmarks)
            .field("validate", &validate.is_some())
            .field("needs_crd", needs_crd)
            .field("longest_token", longest_token)
            .finish()
    }
}
