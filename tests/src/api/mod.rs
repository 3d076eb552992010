//! A Kubernetes API server without etcd, admission or controllers, for tests and the demo.
//!
//! What an agent or kubectl can tell apart is as in the real one: versions, lists in pages, watches
//! with bookmarks, patches and field owners, refusals, tokens and rules. What the real one does
//! only sometimes is done on demand: see [`faults`]. The server has threads of its own, so that the
//! handle can be used from any test. Dropping the handle ends it, and panics if one of its threads
//! has.
//!
//! Nothing here knows what the agent is for.

pub mod access;
pub mod base64;
pub mod builders;
mod discovery;
mod events;
pub mod failure;
pub mod faults;
mod kubeconfig;
mod log;
mod object;
pub mod options;
mod panics;
mod patch;
pub mod real;
pub mod resources;
mod selectors;
mod serve;
pub mod server;
mod store;
mod table;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

pub use access::{Rights, Rule, Token};
pub use failure::Failure;
pub use faults::{Effect, Fault, Faults};
pub use kubeconfig::kubectl;
pub use log::{Request, Verb};
pub use options::Options;
pub use real::RealApi;
pub use server::Server;

use object::{Key, text};
use resources::Resource;
use serve::{Certificates, Listeners};
use store::{Preconditions, Store, Writer};

/// A running server that this process is.
#[derive(Debug)]
pub struct Api {
    server: Arc<serve::Server>,
    listeners: Listeners,
    files: TempDir,
    runtime: Option<Runtime>,
    threads: String,
    token_in_use: Mutex<String>,
}

/// What a server knew at some time.
#[derive(Debug, Clone)]
pub struct Saved(store::Saved);

/// The test's own hand writes as this manager.
const WRITER: Writer<'static> =
    Writer { manager: "test", subresource: "", is_test: true, is_dry: false, is_apply: false };

impl Api {
    /// Starts one that holds nothing but the usual namespaces.
    ///
    /// # Errors
    ///
    /// The address is taken or absent; there is no room for files.
    pub fn start(options: Options) -> Result<Self> {
        let files = tempfile::Builder::new().prefix("redirector-api-").tempdir();
        let files = files.context("cannot make a directory for the kubeconfig")?;
        let listeners = Listeners::take(options.listen, options.netns.clone())?;
        let address = listeners.address();
        let certificates = match options.tls {
            true => Some(Arc::new(Certificates::new(address.ip(), &options.names)?)),
            false => None,
        };
        let threads = panics::listen();
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name(&threads)
            .enable_all()
            .build()
            .context("cannot start the API server's threads")?;
        let tokens = options.tokens.clone();
        let first = tokens.first().map(|token| token.token.clone()).unwrap_or_default();
        let server = Arc::new(serve::Server {
            store: Store::new(options.window, options.validate.clone()),
            faults: Faults::default(),
            log: log::Log::default(),
            tokens: Mutex::new(tokens),
            issued: Mutex::default(),
            certificates: Mutex::new(certificates),
            options,
        });
        let token_in_use = Mutex::new(first);
        let api = Self { server, listeners, files, runtime: Some(runtime), threads, token_in_use };
        for namespace in ["default", "kube-system", "kube-public", "kube-node-lease"] {
            api.put(
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}),
            )?;
        }
        api.write_files()?;
        api.restart()?;
        Ok(api)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listeners.address()
    }

    /// `https://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.server.options.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.address())
    }

    /// Makes an object, or replaces the one of its name, status included. Its namespace is made
    /// if it is missing. Returns it as the server keeps it.
    ///
    /// # Errors
    ///
    /// What the server says against it.
    pub fn put(&self, object: impl Into<Value>) -> Result<Value, Failure> {
        let mut object = object.into();
        let resource = resource_of(&object)?;
        object["apiVersion"] = json!(resource.api_version());
        let kept = self.server.store.change(|store| store.put(resource, object, WRITER))?;
        Ok(kept.value())
    }

    /// Makes or replaces every object of YAML documents.
    ///
    /// # Errors
    ///
    /// A document is no object, or what the server says against one.
    pub fn put_yaml(&self, yaml: &str) -> Result<Vec<Value>, Failure> {
        let objects: Vec<Value> = serde_saphyr::from_multiple(yaml)
            .map_err(|error| Failure::bad_request(format!("the YAML cannot be read: {error}")))?;
        objects.into_iter().map(|object| self.put(object)).collect()
    }

    /// Changes an object by a merge patch (RFC 7396), status included.
    ///
    /// # Errors
    ///
    /// There is none, or what the server says against the result.
    pub fn patch(
        &self,
        resource: &str,
        namespace: &str,
        name: &str,
        patch: Value,
    ) -> Result<Value, Failure> {
        let (resource, key) = place(resource, namespace, name);
        let patch = patch::Patch::Merge(patch);
        let kept = self.server.store.change(|store| store.patch(resource, &key, patch, WRITER))?;
        Ok(kept.value())
    }

    /// Deletes an object and what it owns.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn delete(&self, resource: &str, namespace: &str, name: &str) -> Result<(), Failure> {
        let (resource, key) = place(resource, namespace, name);
        let wanted = Preconditions::default();
        self.server.store.change(|store| store.delete(resource, &key, &wanted, false)).map(drop)
    }

    /// An object, or none.
    #[must_use]
    pub fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        let (resource, key) = place(resource, namespace, name);
        let found = self.server.store.lock().get(resource, &key).cloned();
        found.map(|found| found.value())
    }

    /// All objects of a resource, in all namespaces.
    #[must_use]
    pub fn list(&self, resource: &str) -> Vec<Value> {
        let store = self.server.store.lock();
        let objects = store.kind(row(resource)).objects.values().cloned().collect::<Vec<_>>();
        drop(store);
        objects.iter().map(|stored| stored.value()).collect()
    }

    /// The version of the last change of anything.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.server.store.lock().revision
    }

    /// Counts the version on, as changes do that no client here watches.
    pub fn skip_revisions(&self, count: u64) {
        self.server.store.change(|store| store.skip(count));
    }

    /// Forgets the history: older versions and lists that are half read are expired (410).
    pub fn compact(&self) {
        self.server.store.change(store::Inner::compact);
    }

    /// Everything there is now, as `etcdctl snapshot save` keeps it.
    #[must_use]
    pub fn save(&self) -> Saved {
        Saved(self.server.store.lock().save())
    }

    /// Goes back to what was saved, its version too: what has changed since was never so, and its
    /// versions come again. As after `etcdutl snapshot restore`, history begins there. Call it
    /// while the server is [stopped](Api::stop), as one must.
    pub fn restore(&self, saved: &Saved) {
        self.server.store.change(|store| store.restore(&saved.0));
    }

    /// A file for `--kubeconfig` with the first token; it stays where it is.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.files.path().join("kubeconfig")
    }

    /// What vouches for it, as PEM; empty without TLS.
    #[must_use]
    pub fn ca(&self) -> String {
        let certificates = self.server.certificates.lock().unwrap_or_else(PoisonError::into_inner);
        certificates.as_ref().map(|certificates| certificates.ca.clone()).unwrap_or_default()
    }

    /// What goes wrong.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.server.faults
    }

    /// Every request since the start or the last [`Api::forget_requests`].
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.server.log.requests()
    }

    /// How many requests of a verb for a resource; a list in pages counts once.
    #[must_use]
    pub fn count(&self, verb: Verb, resource: &str) -> u64 {
        self.server.log.count(verb, resource)
    }

    /// Starts the log and the counters anew.
    pub fn forget_requests(&self) {
        self.server.log.clear();
    }

    /// Other tokens from now on, also for connections that are there.
    ///
    /// # Errors
    ///
    /// The files cannot be written.
    pub fn set_tokens(&self, tokens: Vec<Token>) -> Result<()> {
        let first = tokens.first().map(|token| token.token.clone()).unwrap_or_default();
        *self.token_in_use.lock().unwrap_or_else(PoisonError::into_inner) = first;
        *self.server.tokens() = tokens;
        self.write_files()
    }

    /// A token of a ServiceAccount as a `TokenRequest` gets it, for an hour.
    ///
    /// # Errors
    ///
    /// There is no such account.
    pub fn issue(&self, namespace: &str, account: &str) -> Result<String, Failure> {
        self.server.issue(&(namespace.to_owned(), account.to_owned()), Duration::from_hours(1))
    }

    /// Refuses connections from when this returns; those that are there stay.
    pub fn refuse(&self) {
        self.listeners.close();
    }

    /// Goes away: refuses connections and cuts those that are there. Objects stay.
    pub fn stop(&self) {
        self.listeners.close();
        self.listeners.cut();
    }

    /// Comes back on the same port.
    ///
    /// # Errors
    ///
    /// The port cannot be listened on.
    pub fn restart(&self) -> Result<()> {
        let runtime = self.runtime.as_ref().context("the API server has ended")?;
        self.listeners.open(runtime.handle(), &self.server)
    }

    fn write_files(&self) -> Result<()> {
        let certificates = self.server.certificates.lock().unwrap_or_else(PoisonError::into_inner);
        let ca = certificates.as_ref().map(|certificates| certificates.ca.clone());
        drop(certificates);
        let token = self.token_in_use.lock().unwrap_or_else(PoisonError::into_inner).clone();
        kubeconfig::write(self.files.path(), &self.url(), ca.as_deref(), &token)
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.stop();
        if let Some(runtime) = self.runtime.take() {
            // Not by waiting: a test may drop this on a runtime's own thread.
            runtime.shutdown_background();
        }
        let panicked = panics::of(&self.threads);
        assert!(thread::panicking() || panicked.is_empty(), "the API server: {panicked:#?}");
    }
}

fn resource_of(object: &Value) -> Result<&'static Resource, Failure> {
    let (api_version, kind) = (text(object, "/apiVersion"), text(object, "/kind"));
    resources::of_kind(api_version, kind).map(Resource::kept).ok_or_else(|| {
        let what = format!("apiVersion {api_version:?} and kind {kind:?}");
        Failure::bad_request(format!("the fake API server has nothing of {what}"))
    })
}

fn row(resource: &str) -> &'static Resource {
    // Where events are kept.
    if resource == "events" {
        return resources::of("events.k8s.io", "events")
            .unwrap_or_else(|| resources::named(resource));
    }
    resources::named(resource)
}

fn place(resource: &str, namespace: &str, name: &str) -> (&'static Resource, Key) {
    (row(resource), (namespace.to_owned(), name.to_owned()))
}
