//! A real kube-apiserver with its etcd, where their programs are given: `KUBEBUILDER_ASSETS`, the
//! convention of envtest. Both end with the guard.
//!
//! Objects go through kubectl, so that the handle needs no client of its own.

use std::{
    env, fs,
    io::Write as _,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::kubeconfig;

/// How long both have to be ready.
const START: Duration = Duration::from_secs(60);
const TOKEN: &str = "real-api-token";

/// A running kube-apiserver with an etcd of its own.
#[derive(Debug)]
pub struct RealApi {
    // In this order: the server ends before what it writes to.
    apiserver: Process,
    etcd: Process,
    files: TempDir,
    assets: PathBuf,
}

#[derive(Debug)]
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only for a process that has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
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

    /// Starts both on 127.0.0.1 and waits until they serve.
    ///
    /// # Errors
    ///
    /// A program cannot be run, or does not serve within 60 s.
    pub fn start(assets: PathBuf) -> Result<Self> {
        let files = tempfile::Builder::new().prefix("redirector-real-api-").tempdir();
        let files = files.context("cannot make a directory for etcd")?;
        let folder = files.path();
        let [client, peer, secure] = free_ports()?;
        let local = |port: u16| format!("http://127.0.0.1:{port}");
        let etcd = run(Command::new(assets.join("etcd"))
            .arg(format!("--data-dir={}", folder.join("etcd").display()))
            .arg(format!("--listen-client-urls={}", local(client)))
            .arg(format!("--advertise-client-urls={}", local(client)))
            .arg(format!("--listen-peer-urls={}", local(peer)))
            .arg("--unsafe-no-fsync"))?;
        let tokens = folder.join("tokens.csv");
        fs::write(&tokens, format!("{TOKEN},admin,admin,system:masters\n"))
            .with_context(|| format!("cannot write {}", tokens.display()))?;
        let key = folder.join("sa.key");
        let pair = rcgen::KeyPair::generate().context("cannot make a key")?;
        fs::write(&key, pair.serialize_pem())
            .with_context(|| format!("cannot write {}", key.display()))?;
        let apiserver = run(Command::new(assets.join("kube-apiserver"))
            .arg(format!("--etcd-servers={}", local(client)))
            .arg("--bind-address=127.0.0.1")
            .arg("--advertise-address=127.0.0.1")
            .arg(format!("--secure-port={secure}"))
            .arg(format!("--cert-dir={}", folder.join("certificates").display()))
            .arg(format!("--token-auth-file={}", tokens.display()))
            .arg("--authorization-mode=RBAC")
            .arg("--service-cluster-ip-range=10.96.0.0/16")
            .arg("--service-account-issuer=https://kubernetes.default.svc")
            .arg(format!("--service-account-key-file={}", key.display()))
            .arg(format!("--service-account-signing-key-file={}", key.display()))
            .arg("--disable-admission-plugins=ServiceAccount"))?;
        let real = Self { apiserver, etcd, files, assets };
        // It signs its own certificate, which is its own CA, once it runs.
        let certificate = real.files.path().join("certificates/apiserver.crt");
        real.until("made a certificate", || {
            Ok(certificate.is_file() && TcpStream::connect((Ipv4Addr::LOCALHOST, secure)).is_ok())
        })?;
        let ca = fs::read_to_string(&certificate)
            .with_context(|| format!("cannot read {}", certificate.display()))?;
        let url = format!("https://127.0.0.1:{secure}");
        kubeconfig::write(real.files.path(), &url, Some(&ca), TOKEN)?;
        real.until("become ready", || Ok(real.kubectl(&["get", "--raw", "/readyz"], "").is_ok()))?;
        Ok(real)
    }

    /// A file for `--kubeconfig`, of an administrator.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.files.path().join("kubeconfig")
    }

    /// Makes an object or replaces it.
    ///
    /// # Errors
    ///
    /// What kubectl says.
    pub fn put(&self, object: impl Into<Value>) -> Result<()> {
        let object = object.into().to_string();
        let arguments = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
        self.kubectl(&arguments, &object).map(drop)
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

    /// Deletes an object.
    ///
    /// # Errors
    ///
    /// What kubectl says, also that there is none.
    pub fn delete(&self, resource: &str, namespace: &str, name: &str) -> Result<()> {
        let place = namespace_argument(namespace);
        self.kubectl(&["delete", resource, name, &place], "").map(drop)
    }

    /// Where the programs are, `etcdctl` among them where it was given.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.assets
    }

    /// Process ids of the API server and of etcd.
    #[must_use]
    pub fn pids(&self) -> [u32; 2] {
        [self.apiserver.0.id(), self.etcd.0.id()]
    }

    fn kubectl(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut kubectl = Command::new("kubectl")
            .arg("--kubeconfig")
            .arg(self.kubeconfig())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run kubectl")?;
        if let Some(mut stdin) = kubectl.stdin.take() {
            // It may end without reading; then its error says more.
            let _ = stdin.write_all(input.as_bytes());
        }
        let output = kubectl.wait_with_output().context("cannot wait for kubectl")?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "kubectl {}: {error}", arguments.join(" "));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn until(&self, what: &str, is_so: impl Fn() -> Result<bool>) -> Result<()> {
        let deadline = Instant::now() + START;
        while !is_so()? {
            if Instant::now() > deadline {
                bail!("the real API server has not {what} within {} s", START.as_secs());
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }
}

fn namespace_argument(namespace: &str) -> String {
    let namespace = if namespace.is_empty() { "default" } else { namespace };
    format!("--namespace={namespace}")
}

fn run(command: &mut Command) -> Result<Process> {
    let name = command.get_program().to_string_lossy().into_owned();
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    child.map(Process).with_context(|| format!("cannot run {name}"))
}

/// Three ports that nobody had a moment ago.
fn free_ports() -> Result<[u16; 3]> {
    let listener = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("there is no free port");
    let held = [listener()?, listener()?, listener()?];
    let mut ports = [0; 3];
    for (port, listener) in ports.iter_mut().zip(&held) {
        *port = listener.local_addr().context("a listener without a port")?.port();
    }
    Ok(ports)
}
