//! The etcd below a real API server: its history, and what it held before.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{START, run, until};
use crate::{netns::Netns, place::Process};

const CLIENTS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 2379);
const PEERS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 2380);

/// A running etcd.
#[derive(Debug)]
pub(super) struct Etcd {
    process: Option<Process>,
    data: PathBuf,
}

/// What an etcd held at some time.
#[derive(Debug)]
pub struct Snapshot {
    data: PathBuf,
}

/// How an older state comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restored {
    /// With its revisions, which so come twice: what backups of the disk do.
    AsItWas,
    /// As etcd's documentation wants it for Kubernetes, by `etcdutl snapshot restore
    /// --bump-revision 1000000000 --mark-compacted`: no revision means two things.
    Raised,
}

/// Where API servers find it.
pub(super) fn url() -> String {
    format!("http://{CLIENTS}")
}

impl Etcd {
    pub(super) fn start(assets: &Path, data: PathBuf, netns: &Netns) -> Result<Self> {
        let mut etcd = Self { process: None, data };
        etcd.restart(assets, netns)?;
        Ok(etcd)
    }

    fn restart(&mut self, assets: &Path, netns: &Netns) -> Result<()> {
        let mut command = Command::new(assets.join("etcd"));
        command
            .arg(format!("--data-dir={}", self.data.display()))
            .arg(format!("--listen-client-urls={}", url()))
            .arg(format!("--advertise-client-urls={}", url()))
            .arg(format!("--listen-peer-urls=http://{PEERS}"))
            .arg(format!("--initial-advertise-peer-urls=http://{PEERS}"))
            .arg(format!("--initial-cluster=default=http://{PEERS}"))
            .arg("--unsafe-no-fsync");
        self.process = Some(run(command, netns)?);
        until("an etcd that answers", || Ok(revision(netns).is_ok()))
    }

    pub(super) fn compact(&self, netns: &Netns) -> Result<()> {
        let request = json!({"revision": revision(netns)?.to_string(), "physical": true});
        ask(netns, "/v3/kv/compaction", &request).map(drop)
    }

    pub(super) fn save(&mut self, assets: &Path, netns: &Netns) -> Result<Snapshot> {
        // Killed, not asked: a backup of the disk of a machine that runs is no better.
        self.process = None;
        let snapshot = Snapshot { data: self.data.with_extension("saved") };
        copy(&self.data, &snapshot.data)?;
        self.restart(assets, netns)?;
        Ok(snapshot)
    }

    pub(super) fn restore(
        &mut self,
        snapshot: &Snapshot,
        how: Restored,
        assets: &Path,
        netns: &Netns,
    ) -> Result<()> {
        self.process = None;
        fs::remove_dir_all(&self.data).context("cannot remove what etcd holds")?;
        match how {
            Restored::AsItWas => copy(&snapshot.data, &self.data)?,
            Restored::Raised => {
                let output = Command::new(assets.join("etcdutl"))
                    .args(["snapshot", "restore", "--skip-hash-check", "--mark-compacted"])
                    .args(["--bump-revision", "1000000000", "--name", "default"])
                    .arg(format!("--initial-advertise-peer-urls=http://{PEERS}"))
                    .arg(format!("--initial-cluster=default=http://{PEERS}"))
                    .arg("--data-dir")
                    .arg(&self.data)
                    .arg(snapshot.data.join("member/snap/db"))
                    .output()
                    .context("cannot run etcdutl")?;
                ensure!(output.status.success(), "etcdutl: {output:?}");
            }
        }
        self.restart(assets, netns)
    }
}

/// The revision of the last change of anything.
fn revision(netns: &Netns) -> Result<u64> {
    // A key that does not exist, in base64.
    let answer = ask(netns, "/v3/kv/range", &json!({"key": "bm9uZQ=="}))?;
    let revision = answer["header"]["revision"].as_str().context("an answer without revision")?;
    revision.parse().context("no revision")
}

/// A call of etcd's JSON gateway.
fn ask(netns: &Netns, path: &str, request: &Value) -> Result<Value> {
    let request = request.to_string();
    let answer = netns.run(|| -> Result<String> {
        let mut stream = TcpStream::connect(CLIENTS)?;
        stream.set_read_timeout(Some(START))?;
        let length = request.len();
        write!(stream, "POST {path} HTTP/1.0\r\nContent-Length: {length}\r\n\r\n{request}")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    });
    let answer = answer.with_context(|| format!("cannot ask etcd {path}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer of etcd")?;
    let status = head.lines().next().unwrap_or_default();
    ensure!(status.contains(" 200 "), "etcd, {path}: {status}: {body}");
    serde_json::from_str(body).context("etcd answers no JSON")
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let status =
        Command::new("cp").arg("-a").arg(from).arg(to).status().context("cannot run cp")?;
    ensure!(status.success(), "cp of {}: {status}", from.display());
    Ok(())
}
