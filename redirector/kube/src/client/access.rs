//! Where the API server is and who we are to it: a service account's files, a kubeconfig, or given.
//!
//! Everything read from files is read again when the files change. No proxy is used.

use std::{
    env,
    hash::{DefaultHasher, Hash, Hasher},
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Uri};
use http_body_util::Empty;
use kube::{
    client::ConfigExt,
    config::{Config, KubeConfigOptions, Kubeconfig},
};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use tower::{BoxError, Layer, ServiceExt, service_fn, util::BoxCloneSyncService};

use super::{Error, Given, Options, SetupError};

/// Adds the headers that say who we are.
type Credentials = BoxCloneSyncService<Request<Empty<Bytes>>, Response<()>, BoxError>;

/// How to reach the API server, as the files say it now.
pub(super) struct Access {
    /// An address, or a name that the kubeconfig or `--api-server` gives.
    pub(super) host: String,
    /// TCP port.
    pub(super) port: u16,
    /// What comes before every path; no slash at its end.
    pub(super) prefix: String,
    /// None for plain HTTP to this host.
    pub(super) tls: Option<Tls>,
    credentials: Credentials,
    files: Vec<PathBuf>,
    fingerprint: u64,
}

/// What a TLS connection needs.
pub(super) struct Tls {
    /// CAs and client certificate.
    pub(super) config: Arc<rustls::ClientConfig>,
    /// The name that the certificate must have, whatever address is dialled.
    pub(super) name: ServerName<'static>,
}

impl Access {
    /// Reads all there is to read.
    pub(super) async fn load(options: &Options) -> Result<Self, SetupError> {
        let is_kubeconfig = options.kubeconfig.is_some() || options.context.is_some();
        let (mut config, files) = match &options.given {
            Some(given) => (of_given(given)?, Vec::new()),
            None if is_kubeconfig => kubeconfig(options).await?,
            None => in_cluster(options)?,
        };
        let fingerprint = fingerprint(&files);
        let original = config.tls_server_name.take().or_else(|| host(&config.cluster_url));
        if let Some(server) = &options.api_server {
            config.cluster_url = server_url("--api-server", server, config.cluster_url.path())?;
        }
        let url = config.cluster_url.clone();
        let host = host(&url).unwrap_or_default();
        let is_plain = url.scheme_str() == Some("http");
        if is_plain && !host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()) {
            let why = "http:// is for a proxy on this host (127.0.0.1, ::1) only; use https://";
            return Err(SetupError::Address {
                what: "the API server",
                value: url.to_string(),
                why,
            });
        }
        // Making them may run an exec plugin, which blocks.
        let made = tokio::task::spawn_blocking(move || {
            let tls = (!is_plain).then(|| config.rustls_client_config()).transpose()?;
            Ok((tls, credentials(&config)?))
        });
        let made = made.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        let (tls, credentials) =
            made.map_err(|why: kube::Error| SetupError::Credentials(Box::new(why)))?;
        let tls = match tls {
            Some(config) => Some(Tls { config: Arc::new(config), name: server_name(original)? }),
            None => None,
        };
        let port = url.port_u16().unwrap_or(if is_plain { 80 } else { 443 });
        let prefix = url.path().trim_end_matches('/').to_owned();
        Ok(Self { host, port, prefix, tls, credentials, files, fingerprint })
    }

    /// Whether a file has changed since it was read. Blocks for as long as reading takes.
    pub(super) fn is_outdated(&self) -> bool {
        fingerprint(&self.files) != self.fingerprint
    }

    /// The headers that say who we are.
    pub(super) async fn headers(&self) -> Result<HeaderMap, Error> {
        let request = Request::new(Empty::new());
        let shown = self.credentials.clone().oneshot(request).await.map_err(Error::Credentials)?;
        Ok(shown.into_parts().0.headers)
    }
}

/// What an object names.
fn of_given(given: &Given) -> Result<Config, SetupError> {
    let Given { server, ca, token } = given;
    let url = server_url("server", server, "/")?;
    let mut config = Config::new(url);
    let invalid = |why| SetupError::CaBundle { server: server.clone(), why };
    config.root_cert = ca.as_deref().map(parse_certificates).transpose().map_err(invalid)?;
    config.auth_info.token = Some(token.clone().into());
    Ok(config)
}

/// A pod's service account: the environment says where, files say who.
fn in_cluster(options: &Options) -> Result<(Config, Vec<PathBuf>), SetupError> {
    let (ca, token) = (options.account.join("ca.crt"), options.account.join("token"));
    let url = match (env::var("KUBERNETES_SERVICE_HOST"), env::var("KUBERNETES_SERVICE_PORT")) {
        (Ok(host), Ok(port)) => service_url(&host, &port)?,
        // Every API server's certificate has this name; it is never resolved.
        _ if options.api_server.is_some() => Uri::from_static("https://kubernetes.default.svc"),
        _ => return Err(SetupError::NotInCluster),
    };
    let mut config = Config::new(url);
    config.root_cert = Some(certificates(&ca)?);
    config.auth_info.token = Some(read_token(&token)?.into());
    Ok((config, vec![ca, token]))
}

/// `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT` as an address.
fn service_url(host: &str, port: &str) -> Result<Uri, SetupError> {
    let invalid = |what, value: &str, why| SetupError::Address { what, value: value.into(), why };
    let why = "names are not resolved, DNS may depend on us; pass --api-server https://ADDRESS";
    let Ok(address) = host.parse::<IpAddr>() else {
        return Err(invalid("KUBERNETES_SERVICE_HOST", host, why));
    };
    let Ok(port) = port.parse::<u16>() else {
        return Err(invalid("KUBERNETES_SERVICE_PORT", port, "ports are 1 to 65535"));
    };
    let authority = std::net::SocketAddr::new(address, port);
    Ok(format!("https://{authority}").parse().expect("an address is an authority"))
}

/// A context of a kubeconfig; without a path the one kubectl would read.
async fn kubeconfig(options: &Options) -> Result<(Config, Vec<PathBuf>), SetupError> {
    let read = match &options.kubeconfig {
        Some(path) => Kubeconfig::read_from(path),
        None => Kubeconfig::read(),
    };
    let boxed = |why| SetupError::Kubeconfig(Box::new(why));
    let kubeconfig = read.map_err(boxed)?;
    let context = options.context.as_ref().or(kubeconfig.current_context.as_ref());
    let named = kubeconfig.contexts.iter().find(|named| Some(&named.name) == context);
    let cluster = named.and_then(|named| named.context.as_ref()).map(|context| &context.cluster);
    let named = kubeconfig.clusters.iter().find(|named| Some(&named.name) == cluster);
    let cluster = named.and_then(|named| named.cluster.clone()).unwrap_or_default();
    if let Some(proxy) = cluster.proxy_url {
        return Err(SetupError::Proxy(proxy));
    }
    let context = KubeConfigOptions { context: options.context.clone(), ..Default::default() };
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &context).await.map_err(boxed)?;
    let user = &mut config.auth_info;
    let mut files: Vec<PathBuf> = options.kubeconfig.iter().cloned().collect();
    let named = [&cluster.certificate_authority, &user.client_certificate, &user.client_key];
    files.extend(named.into_iter().flatten().map(PathBuf::from));
    if let (None, Some(path)) = (&user.token, user.token_file.take()) {
        user.token = Some(read_token(Path::new(&path))?.into());
        files.push(path.into());
    }
    Ok((config, files))
}

/// What `--api-server` or an object says: a URL, or an address or name with a port.
fn server_url(what: &'static str, text: &str, path: &str) -> Result<Uri, SetupError> {
    let invalid = |why| SetupError::Address { what, value: text.to_owned(), why };
    let url = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let url: Uri = url.parse().map_err(|_| invalid("write https://ADDRESS:PORT"))?;
    if !matches!(url.scheme_str(), Some("https" | "http")) || url.host().is_none() {
        return Err(invalid("write https://ADDRESS:PORT"));
    }
    if url.path() != "/" || path == "/" {
        return Ok(url);
    }
    let mut parts = url.into_parts();
    parts.path_and_query = path.parse().ok();
    Uri::from_parts(parts).map_err(|_| invalid("the kubeconfig's path does not fit to it"))
}

/// The host of a URL, IPv6 without brackets.
fn host(url: &Uri) -> Option<String> {
    let host = url.host()?;
    Some(host.trim_start_matches('[').trim_end_matches(']').to_owned())
}

fn server_name(name: Option<String>) -> Result<ServerName<'static>, SetupError> {
    let name = name.unwrap_or_default();
    ServerName::try_from(name.clone()).map_err(|_| SetupError::Address {
        what: "the TLS server name",
        value: name,
        why: "a certificate has a DNS name or an address",
    })
}

fn certificates(path: &Path) -> Result<Vec<Vec<u8>>, SetupError> {
    let pem = read(path)?;
    parse_certificates(&pem).map_err(|why| SetupError::Certificates { path: path.to_owned(), why })
}

fn parse_certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .map(|der| der.map(|der| der.to_vec()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|why| why.to_string())?;
    if certificates.is_empty() {
        return Err("there is no CERTIFICATE section".to_owned());
    }
    Ok(certificates)
}

fn read_token(path: &Path) -> Result<String, SetupError> {
    Ok(String::from_utf8_lossy(&read(path)?).trim().to_owned())
}

fn read(path: &Path) -> Result<Vec<u8>, SetupError> {
    std::fs::read(path).map_err(|source| SetupError::Read { path: path.to_owned(), source })
}

/// kube's layers, above a service that shows as its answer's headers what they have added.
fn credentials(config: &Config) -> Result<Credentials, kube::Error> {
    let shown = service_fn(|request: Request<Empty<Bytes>>| async move {
        let mut shown = Response::new(());
        *shown.headers_mut() = request.into_parts().0.headers;
        Ok::<_, BoxError>(shown)
    });
    let extended = config.extra_headers_layer()?.layer(shown);
    Ok(match config.auth_layer()? {
        Some(auth) => BoxCloneSyncService::new(auth.layer(extended)),
        None => BoxCloneSyncService::new(extended),
    })
}

/// Differs when the contents of a file differ, or one comes or goes.
fn fingerprint(files: &[PathBuf]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for path in files {
        std::fs::read(path).ok().hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inside_a_cluster_names_are_refused() {
        let why = service_url("kubernetes.default", "443").expect_err("a name").to_string();
        assert!(why.contains("--api-server"), "{why}");
        let url = service_url("fd00::1", "6443").expect("an address");
        assert_eq!(url.to_string(), "https://[fd00::1]:6443/");
        assert_eq!(host(&url).as_deref(), Some("fd00::1"));
    }

    #[test]
    fn an_api_server_is_a_url_or_an_address_with_a_port() {
        let cases = [
            ("https://10.0.0.1:6443", "/", "https://10.0.0.1:6443/"),
            ("10.0.0.1:6443", "/", "https://10.0.0.1:6443/"),
            ("[fd00::1]:6443", "/", "https://[fd00::1]:6443/"),
            (
                "https://rancher.example",
                "/k8s/clusters/c",
                "https://rancher.example/k8s/clusters/c",
            ),
        ];
        for (text, path, expected) in cases {
            let url = server_url("--api-server", text, path).expect(text);
            assert_eq!(url.to_string(), expected, "{text}");
        }
        for text in ["ftp://10.0.0.1", "https://", "a b", ""] {
            assert!(server_url("--api-server", text, "/").is_err(), "{text:?} must be refused");
        }
    }
}
