//! One cluster that a command works on: its API server, by a context of a kubeconfig or a given token.

use std::{fs, path::PathBuf};

use k8s_openapi::ByteString;
use kube::config::{Cluster, Kubeconfig};
use redirector_kube::client::{Client, Given, Options, SetupError, Timeouts};
use serde_json::{Value, json};

use super::{
    Error,
    error::{Credentials, Refusal},
    kinds,
};

/// As whom objects are written: server-side apply keeps what others have added.
const MANAGER: &str = "redirector-cluster";
/// Objects that are read at once.
const PAGE: usize = 500;

/// How an operator logs in to a cluster; without anything as kubectl would, or as a pod does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Login {
    /// A kubeconfig file.
    pub kubeconfig: Option<PathBuf>,
    /// A context of it.
    pub context: Option<String>,
}

/// How a RemoteCluster names an API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// `https://…`.
    pub server: String,
    /// PEM in base64; `None` is what the system trusts.
    pub ca_bundle: Option<String>,
}

/// A cluster.
#[derive(Clone, Debug)]
pub struct Side {
    name: String,
    credentials: Credentials,
    client: Client,
}

impl Login {
    /// What messages call it.
    fn name(&self) -> String {
        match (&self.context, &self.kubeconfig) {
            (Some(context), _) => format!("context {context}"),
            (None, Some(path)) => format!("kubeconfig {}", path.display()),
            (None, None) => "this cluster".to_owned(),
        }
    }

    /// The client of the context.
    ///
    /// # Errors
    ///
    /// [`Error::Login`].
    pub async fn side(&self) -> Result<Side, Error> {
        let name = self.name();
        let mut options = Options {
            kubeconfig: self.kubeconfig.clone(),
            context: self.context.clone(),
            timeouts: timeouts(),
            ..Options::default()
        };
        let mut made = Client::new(options.clone()).await;
        if matches!(made, Err(SetupError::NotInCluster)) {
            // A laptop: the kubeconfig and the context that kubectl would take.
            options.context = Kubeconfig::read().ok().and_then(|config| config.current_context);
            if options.context.is_some() {
                made = Client::new(options).await;
            }
        }
        let client = made.map_err(|source| Error::Login { side: name.clone(), source })?;
        Ok(Side { name, credentials: Credentials::Operator, client })
    }

    /// Its API server as a RemoteCluster of another cluster would name it, or `server` in its place.
    ///
    /// # Errors
    ///
    /// The kubeconfig cannot be read, or verifies the server in a way that a RemoteCluster cannot state.
    pub fn address(&self, instead: Option<&str>) -> Result<Address, Error> {
        let side = self.name();
        let read = match &self.kubeconfig {
            Some(path) => Kubeconfig::read_from(path),
            None => Kubeconfig::read(),
        };
        let config = read.map_err(|why| {
            let source = SetupError::Kubeconfig(Box::new(why));
            Error::Login { side: side.clone(), source }
        })?;
        let context = self.context.as_ref().or(config.current_context.as_ref());
        let named = config.contexts.iter().find(|named| Some(&named.name) == context);
        let cluster = named.and_then(|named| Some(&named.context.as_ref()?.cluster));
        let named = config.clusters.iter().find(|named| Some(&named.name) == cluster);
        let Cluster {
            server,
            insecure_skip_tls_verify,
            certificate_authority: file,
            certificate_authority_data: data,
            tls_server_name,
            ..
        } = named.and_then(|named| named.cluster.clone()).unwrap_or_default();
        let unverified = |why, fix| Error::Unverified { side: side.clone(), why, fix };
        if insecure_skip_tls_verify == Some(true) {
            let fix = "give it the cluster's CA (certificate-authority-data)";
            return Err(unverified(
                "verifies no certificate, and a RemoteCluster always does",
                fix,
            ));
        }
        if tls_server_name.is_some() && instead.is_none() {
            let fix = "pass --server with the name that is in the certificate";
            return Err(unverified(
                "expects another name in the certificate (tls-server-name)",
                fix,
            ));
        }
        let server = instead.map(str::to_owned).or(server);
        let Some(server) = server.filter(|server| server.starts_with("https://")) else {
            let fix = "pass --server https://NAME:PORT";
            return Err(unverified("names no server by https://", fix));
        };
        let ca_bundle = match (data, file) {
            (Some(data), _) => Some(data),
            (None, Some(file)) => {
                let path = PathBuf::from(file);
                let pem = fs::read(&path).map_err(|source| Error::File { path, source })?;
                Some(base64(pem))
            }
            (None, None) => None,
        };
        Ok(Address { server, ca_bundle })
    }
}

impl Address {
    /// The API server there, with a token of the importer's.
    ///
    /// # Errors
    ///
    /// [`Error::Login`]: the URL or the CA bundle cannot be used.
    pub async fn side(&self, cluster: &str, token: &str) -> Result<Side, Error> {
        let name = format!("cluster {cluster} at {}", self.server);
        let ca = self.ca_bundle.as_ref().map(|text| {
            // What is no base64 holds no certificate either, and is refused as that.
            let bytes = serde_json::from_value::<ByteString>(json!(text));
            bytes.map_or_else(|_| text.clone().into_bytes(), |ByteString(pem)| pem)
        });
        let given = Given { server: self.server.clone(), ca, token: token.to_owned() };
        let options = Options { given: Some(given), timeouts: timeouts(), ..Options::default() };
        let made = Client::new(options).await;
        let client = made.map_err(|source| Error::Login { side: name.clone(), source })?;
        Ok(Side { name, credentials: Credentials::Importer, client })
    }
}

impl Side {
    /// What messages call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// An object, or anything else below `path`; `None` is 404.
    ///
    /// # Errors
    ///
    /// [`Error::Request`].
    pub async fn get(&self, path: &str) -> Result<Option<Value>, Error> {
        let answer = self.client.get(path).await.and_then(|answer| answer.object());
        match answer {
            Ok(object) => Ok(Some(object)),
            Err(redirector_kube::client::Error::NotFound { .. }) => Ok(None),
            Err(why) => Err(self.failed(format!("read {path}"), why)),
        }
    }

    /// All objects of a collection, in pages; `None` is 404: the kind is not served.
    ///
    /// # Errors
    ///
    /// [`Error::Request`].
    pub async fn list(&self, path: &str) -> Result<Option<Vec<Value>>, Error> {
        let (mut all, mut next) = (Vec::new(), String::new());
        loop {
            let mark = if path.contains('?') { '&' } else { '?' };
            let page = format!("{path}{mark}limit={PAGE}{next}");
            let Some(mut list) = self.get(&page).await? else { return Ok(None) };
            if let Some(Value::Array(items)) = list.get_mut("items").map(Value::take) {
                all.extend(items);
            }
            match list["metadata"]["continue"].as_str().filter(|token| !token.is_empty()) {
                Some(token) => next = format!("&continue={}", escaped(token)),
                None => return Ok(Some(all)),
            }
        }
    }

    /// Makes an object so, on the server's side; the same one again changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Request`]; [`Refusal::NoKind`] for a kind that is not served.
    pub async fn apply(&self, object: &Value) -> Result<Value, Error> {
        let path = format!("{}?fieldManager={MANAGER}&force=true", kinds::path(object));
        let answer = self.client.apply(&path, object).await.and_then(|answer| answer.object());
        answer.map_err(|why| self.failed(format!("write {}", kinds::shown(object)), why))
    }

    /// Makes an object unless there is one of that name.
    ///
    /// # Errors
    ///
    /// [`Error::Request`].
    pub async fn ensure(&self, object: &Value) -> Result<(), Error> {
        if self.get(&kinds::path(object)).await?.is_some() {
            return Ok(());
        }
        match self.post(&kinds::collection(object), object).await {
            Ok(_) => Ok(()),
            // Another one has made it meanwhile.
            Err(Error::Request { source, .. })
                if matches!(*source, redirector_kube::client::Error::Conflict { .. }) =>
            {
                Ok(())
            }
            Err(why) => Err(why),
        }
    }

    /// Posts an object that is kept or answered: a review, a TokenRequest.
    ///
    /// # Errors
    ///
    /// [`Error::Request`].
    pub async fn post(&self, path: &str, object: &Value) -> Result<Value, Error> {
        let answer = self.client.post(path, object).await.and_then(|answer| answer.object());
        let deed = || format!("create {} at {path}", object["kind"].as_str().unwrap_or("it"));
        answer.map_err(|why| self.failed(deed(), why))
    }

    /// Changes an object by a merge patch; `false` is 404.
    ///
    /// # Errors
    ///
    /// [`Error::Request`].
    pub async fn patch(&self, path: &str, patch: &Value) -> Result<bool, Error> {
        match self.client.patch(path, patch).await {
            Ok(_) => Ok(true),
            Err(redirector_kube::client::Error::NotFound { .. }) => Ok(false),
            Err(why) => Err(self.failed(format!("change {path}"), why)),
        }
    }

    /// Deletes the object at `path`; `false`: there is none, or with a uid, none that has it.
    ///
    /// # Errors
    ///
    /// [`Error::Request`].
    pub async fn delete(&self, path: &str, uid: Option<&str>) -> Result<bool, Error> {
        let mut options = json!({"apiVersion": "v1", "kind": "DeleteOptions"});
        if let Some(uid) = uid {
            options["preconditions"] = json!({"uid": uid});
        }
        match self.client.delete(path, &options).await {
            Ok(_) => Ok(true),
            Err(
                redirector_kube::client::Error::NotFound { .. }
                | redirector_kube::client::Error::Conflict { .. },
            ) => Ok(false),
            Err(why) => Err(self.failed(format!("delete {path}"), why)),
        }
    }

    /// That a kind must be served here.
    ///
    /// # Errors
    ///
    /// [`Refusal::NoKind`] if it is not.
    pub fn must_serve<T>(
        &self,
        found: Option<T>,
        kind: &'static str,
        fix: &'static str,
    ) -> Result<T, Error> {
        let missing = || Refusal::NoKind { side: self.name.clone(), kind, fix }.into();
        found.ok_or_else(missing)
    }

    fn failed(&self, deed: String, source: redirector_kube::client::Error) -> Error {
        let Self { name, credentials, .. } = self;
        let (side, credentials) = (name.clone(), *credentials);
        Error::Request { side, deed, credentials, source: Box::new(source) }
    }
}

/// An operator waits in front of the terminal.
fn timeouts() -> Timeouts {
    Timeouts::default().divided_by(2)
}

/// A value of a query.
fn escaped(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().fold(String::new(), |all, byte| {
        if is_plain(byte) {
            all + char::from(byte).encode_utf8(&mut [0; 4])
        } else {
            format!("{all}%{byte:02X}")
        }
    })
}

/// Bytes as objects hold them.
pub(super) fn base64(bytes: Vec<u8>) -> String {
    match json!(ByteString(bytes)) {
        Value::String(text) => text,
        _ => String::new(),
    }
}
