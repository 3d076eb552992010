//! A real kube-apiserver with its etcd, where their programs are given: `KUBEBUILDER_ASSETS`, the
//! convention of envtest. Both live in a namespace of a test's, and end with the handle.
//!
//! Objects go through kubectl, so that the handle needs no client of its own. The client that is
//! tested speaks as the ServiceAccount of `deploy/base` and has its rights.

mod audit;
mod etcd;

use std::{
    env, fs,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::{Server, kubeconfig, kubectl};
use crate::{
    netns::Netns,
    place::{Place, Process},
};
use audit::Audit;
use etcd::Etcd;
pub use etcd::{Restored, Snapshot};

/// How long an API server has to end by itself.
const GRACE: Duration = Duration::from_secs(10);
/// How long each has to be ready.
const START: Duration = Duration::from_secs(60);
const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 6443);
const ADMIN: &str = "admin-token";
const AGENT: &str = "agent-token";
const ACCOUNT: &str = "system:serviceaccount:redirector-system:redirector";
const RIGHTS: &str = include_str!("../../../../deploy/base/rbac.yaml");

/// A kube-apiserver with an etcd of its own.
#[derive(Debug)]
pub struct RealApi {
    // In this order: the server ends before what it writes to.
    apiserver: Option<Process>,
    etcd: Etcd,
    audit: Audit,
    files: TempDir,
    assets: PathBuf,
    netns: Netns,
}

impl RealApi {
    /// The folder with the programs. `Err` says, for people, why there is none: print it as a skip.
    ///
    /// # Errors
    ///
    /// `KUBEBUILDER_ASSETS` is not set, or a program is missing in it.
    pub fn assets() -> Result<PathBuf, String> {
        let Some(folder) = env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from) else {
            return Err(
                "KUBEBUILDER_ASSETS names no folder with kube-apiserver and etcd".to_owned()
            );
        };
        match ["kube-apiserver", "etcd"].iter().find(|name| !folder.join(name).is_file()) {
            Some(name) => Err(format!("KUBEBUILDER_ASSETS: {} has no {name}", folder.display())),
            None => Ok(folder),
        }
    }

    /// Starts both on the namespace's `lo` and waits until they serve.
    ///
    /// # Errors
    ///
    /// A program cannot be run, or does not serve within 60 s.
    pub fn start(assets: PathBuf, netns: &Netns) -> Result<Self> {
        let files = tempfile::Builder::new().prefix("redirector-real-api-").tempdir();
        let files = files.context("cannot make a directory for etcd")?;
        let folder = files.path();
        let pair = rcgen::KeyPair::generate().context("cannot make a key")?;
        let users = format!(
            "{ADMIN},admin,admin,system:masters\n\
             {AGENT},{ACCOUNT},agent,\"system:serviceaccounts,system:authenticated\"\n"
        );
        for (name, text) in [
            ("tokens.csv", users),
            ("sa.key", pair.serialize_pem()),
            ("sa.pub", pair.public_key_pem()),
            ("audit.json", audit::policy(ACCOUNT).to_string()),
        ] {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        let etcd = Etcd::start(&assets, folder.join("etcd"), netns)?;
        let audit = Audit::new(folder.join("audit.log"));
        let mut real = Self { apiserver: None, etcd, audit, files, assets, netns: netns.clone() };
        real.restart()?;
        real.kubectl(&["create", "namespace", "redirector-system"], "")?;
        real.kubectl(&["apply", "-f", "-"], RIGHTS)?;
        Ok(real)
    }

    /// Ends the API server as its supervisor does, by force after 10 s: it waits for clients that
    /// read nothing. etcd stays.
    ///
    /// # Errors
    ///
    /// It cannot be told to.
    pub fn stop(&mut self) -> Result<()> {
        let Some(mut process) = self.apiserver.take() else { return Ok(()) };
        let id = nix::unistd::Pid::from_raw(i32::try_from(process.0.id()).context("its id")?);
        nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM).context("cannot end it")?;
        let deadline = Instant::now() + GRACE;
        while process.0.try_wait().context("cannot wait for it")?.is_none() {
            if Instant::now() > deadline {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Starts the API server on what etcd holds, at the same address and with the same
    /// certificate, and waits until it serves.
    ///
    /// # Errors
    ///
    /// It cannot be run, or does not serve within 60 s.
    pub fn restart(&mut self) -> Result<()> {
        let file = |name: &str| self.files.path().join(name).display().to_string();
        let mut command = Command::new(self.assets.join("kube-apiserver"));
        command
            .arg(format!("--etcd-servers={}", etcd::url()))
            .arg(format!("--bind-address={}", ADDRESS.ip()))
            // What it writes into the Service `kubernetes`; it refuses a loopback address.
            .arg("--advertise-address=192.0.2.1")
            .arg(format!("--secure-port={}", ADDRESS.port()))
            .arg(format!("--cert-dir={}", file("certificates")))
            .arg(format!("--token-auth-file={}", file("tokens.csv")))
            .arg("--authorization-mode=RBAC")
            .arg("--service-cluster-ip-range=10.96.0.0/16")
            .arg("--service-account-issuer=https://kubernetes.default.svc")
            .arg(format!("--service-account-key-file={}", file("sa.pub")))
            .arg(format!("--service-account-signing-key-file={}", file("sa.key")))
            .arg(format!("--audit-policy-file={}", file("audit.json")))
            .arg(format!("--audit-log-path={}", file("audit.log")))
            .arg("--disable-admission-plugins=ServiceAccount");
        self.apiserver = Some(run(command, &self.netns)?);
        // It signs its own certificate, with a CA of its own, once it runs.
        let certificate = self.files.path().join("certificates/apiserver.crt");
        until("made a certificate", || {
            let serves = || self.netns.run(|| TcpStream::connect(ADDRESS).is_ok());
            Ok(certificate.is_file() && serves())
        })?;
        let ca = fs::read_to_string(&certificate)
            .with_context(|| format!("cannot read {}", certificate.display()))?;
        for (name, token) in [("admin", ADMIN), ("agent", AGENT)] {
            let folder = self.files.path().join(name);
            fs::create_dir_all(&folder).with_context(|| format!("{}", folder.display()))?;
            kubeconfig::write(&folder, &format!("https://{ADDRESS}"), Some(&ca), token)?;
        }
        until("become ready", || Ok(self.kubectl(&["get", "--raw", "/readyz"], "").is_ok()))
    }

    /// The history of etcd up to now is gone.
    ///
    /// # Errors
    ///
    /// What etcd says.
    pub fn compact(&self) -> Result<()> {
        self.etcd.compact(&self.netns)
    }

    /// What etcd holds now, as `etcdctl snapshot save` keeps it. The API server is away meanwhile.
    ///
    /// # Errors
    ///
    /// A program does not end or start, or there is no room.
    pub fn save(&mut self) -> Result<Snapshot> {
        self.stop()?;
        let snapshot = self.etcd.save(&self.assets, &self.netns)?;
        self.restart()?;
        Ok(snapshot)
    }

    /// Makes etcd hold what it held then. The API server must be [stopped](Self::stop).
    ///
    /// # Errors
    ///
    /// What etcd says; `etcdutl` is not among the programs and the revisions are to be raised.
    pub fn restore(&mut self, snapshot: &Snapshot, how: Restored) -> Result<()> {
        ensure!(self.apiserver.is_none(), "etcd is restored while the API server is away");
        self.etcd.restore(snapshot, how, &self.assets, &self.netns)
    }

    /// Whether [`Restored::Raised`] can be had.
    #[must_use]
    pub fn has_etcdutl(&self) -> bool {
        self.assets.join("etcdutl").is_file()
    }

    /// Makes a CustomResourceDefinition and waits until objects of it can be made.
    ///
    /// # Errors
    ///
    /// What kubectl says; not within 60 s.
    pub fn define(&self, definition: Value) -> Result<()> {
        let name = definition["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        self.put(definition)?;
        let wait = ["wait", "--for=condition=Established", "--timeout=60s", "crd", &name];
        self.kubectl(&wait, "").map(drop)
    }

    /// An object, or none.
    ///
    /// # Errors
    ///
    /// What kubectl says, unless it is that there is none.
    pub fn get(&self, resource: &str, namespace: &str, name: &str) -> Result<Option<Value>> {
        let place = namespace_argument(namespace);
        let arguments = ["get", resource, name, &place, "--ignore-not-found", "-o", "json"];
        let text = self.kubectl(&arguments, "")?;
        if text.trim().is_empty() {
            return Ok(None);
        }
        serde_json::from_str(&text).context("kubectl prints no JSON").map(Some)
    }

    /// What kubectl prints, as an administrator.
    ///
    /// # Errors
    ///
    /// It cannot be run, or fails.
    pub fn kubectl(&self, arguments: &[&str], input: &str) -> Result<String> {
        let (kubeconfig, cache) = ("admin/kubeconfig", "cache");
        let [kubeconfig, cache] = [kubeconfig, cache].map(|name| self.files.path().join(name));
        let place = Place::netns(&self.netns);
        let output = kubectl(&kubeconfig, &cache, place, arguments, input)?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "kubectl {}: {error}", arguments.join(" "));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Server for RealApi {
    /// Puts an object by creating and replacing: servers before 1.25 cannot apply the rules of our CRD.
    fn put(&self, object: impl Into<Value>) -> Result<()> {
        let object = object.into();
        let text = object.to_string();
        let create = || self.kubectl(&["create", "--validate=false", "-f", "-"], &text);
        let said = match create() {
            Err(error) if is_without_namespace(&error) => {
                let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
                self.kubectl(&["create", "namespace", namespace], "")?;
                create()
            }
            said => said,
        };
        match said {
            Err(error) if format!("{error}").contains("AlreadyExists") => {
                self.kubectl(&["replace", "--validate=false", "-f", "-"], &text).map(drop)
            }
            said => said.map(drop),
        }
    }

    fn remove(&self, resource: &str, namespace: &str, name: &str) -> Result<()> {
        let place = namespace_argument(namespace);
        self.kubectl(&["delete", resource, name, &place], "").map(drop)
    }

    fn kubeconfig(&self) -> PathBuf {
        self.files.path().join("agent/kubeconfig")
    }

    fn lists(&self, resource: &str) -> Result<usize> {
        self.audit.lists(resource)
    }

    fn forget_requests(&self) -> Result<()> {
        self.audit.forget()
    }
}

fn is_without_namespace(error: &anyhow::Error) -> bool {
    let error = format!("{error}");
    error.contains("namespaces \"") && error.contains("not found")
}

fn namespace_argument(namespace: &str) -> String {
    let namespace = if namespace.is_empty() { "default" } else { namespace };
    format!("--namespace={namespace}")
}

fn run(mut command: Command, netns: &Netns) -> Result<Process> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Place::netns(netns).spawn(command).map(Process).with_context(|| format!("cannot run {name}"))
}

fn until(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + START;
    while !is_so()? {
        if Instant::now() > deadline {
            bail!("the real API server has not {what} within {} s", START.as_secs());
        }
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}
