//! How an agent is started.

use std::path::{Path, PathBuf};

use crate::{bpffs::Bpffs, cgroup::Cgroup, crash::Crasher, lab::Node, netns::Netns};

/// How an agent is started.
#[derive(Debug, Clone)]
pub struct AgentOptions {
    /// The `redirector` binary.
    pub binary: PathBuf,
    /// The network it runs in: it probes replicas from there.
    pub netns: Netns,
    /// Where it attaches.
    pub cgroup: PathBuf,
    /// Where it pins.
    pub pin_path: PathBuf,
    /// Its static file; without, `arguments` say where its news come from.
    pub config: Option<PathBuf>,
    /// Further arguments of `redirector agent`.
    pub arguments: Vec<String>,
    /// Value of `REDIRECTOR_LOG`.
    pub log_filter: String,
    /// Ends it in the middle of what it does.
    pub crasher: Option<Crasher>,
}

impl AgentOptions {
    /// `binary` on `node`, for the sockets in `cgroup`, pinned in `bpffs`. Tests take the binary
    /// from `programs::redirector`.
    #[must_use]
    pub fn new(
        binary: PathBuf,
        node: &Node,
        cgroup: &Cgroup,
        bpffs: &Bpffs,
        config: &Path,
    ) -> Self {
        Self {
            binary,
            netns: node.netns().clone(),
            cgroup: cgroup.path().to_owned(),
            pin_path: bpffs.pin_path(),
            config: Some(config.to_owned()),
            arguments: Vec::new(),
            log_filter: "info".to_owned(),
            crasher: None,
        }
    }

    /// The options of an agent that is fed by an API server, as the Node of that name.
    #[must_use]
    pub fn kube(
        binary: PathBuf,
        (node, name): (&Node, &str),
        cgroup: &Cgroup,
        bpffs: &Bpffs,
        kubeconfig: &Path,
    ) -> Self {
        let kubeconfig = kubeconfig.display().to_string();
        let arguments = ["--kube", "--kubeconfig", &kubeconfig, "--node", name];
        Self {
            config: None,
            arguments: arguments.map(str::to_owned).into(),
            ..Self::new(binary, node, cgroup, bpffs, Path::new(""))
        }
    }
}
