//! Three API servers with what their clusters have anyway, and the pods that exchange Services.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};
use redirector_tests::{
    api::{Api, Options},
    lab::Lab,
    place::{Place, Process},
};
use serde_json::{Value, json};

use super::{
    super::cluster::NAMESPACE,
    NAMES,
    objects::{kustomization, objects, policy},
};
use crate::workspace;

/// Where each API server listens, on the node of its cluster's name.
const API_PORT: u16 = 6443;
/// What of `deploy/` a user needs.
const PARTS: [&str; 4] = ["base", "components", "crd", "examples"];
/// The pod that is started of each Deployment.
const POD: &str = "redirector-clusters-0";

/// What the clusters have beside their nodes. Fields are dropped in order.
pub(in super::super) struct Fleet {
    /// Of each cluster the replica of its Deployment, while it runs.
    pods: [Option<Process>; NAMES.len()],
    /// Their API servers.
    apis: Vec<Api>,
    /// Where the kubeconfigs are, and the logs.
    files: PathBuf,
    binary: PathBuf,
}

impl Fleet {
    /// API servers, each on a node of its own, with the objects that its cluster has; and files for a user
    /// in `directory`: `deploy`, a kustomization per cluster, the policy, a kubeconfig.
    pub(in super::super) fn start(lab: &Lab, directory: &Path, binary: &Path) -> Result<Self> {
        let mut apis = Vec::new();
        for name in NAMES {
            let node = lab.node(name);
            let options = Options {
                listen: SocketAddr::new(node.ipv4().into(), API_PORT),
                netns: Some(node.netns().clone()),
                needs_crd: true,
                ..Options::default()
            };
            let api = Api::start(options).with_context(|| format!("the API server of {name}"))?;
            for object in objects(name, lab) {
                api.put(object).with_context(|| format!("what there is in {name}"))?;
            }
            let own = directory.join(name);
            fs::create_dir(&own).with_context(|| format!("cannot make {}", own.display()))?;
            write(&own.join("kustomization.yaml"), &kustomization(name))?;
            apis.push(api);
        }
        for part in PARTS {
            let from = workspace::root().join("deploy").join(part);
            copy(&from, &directory.join("deploy").join(part))?;
        }
        write(&directory.join("policy.yaml"), &policy())?;
        write(&directory.join("kubeconfig"), &kubeconfig(&apis)?)?;
        let (files, binary) = (directory.to_owned(), binary.to_owned());
        Ok(Self { pods: [const { None }; NAMES.len()], apis, files, binary })
    }

    /// What a kubelet of each cluster does: a token of the account, and the Deployment's process.
    pub(in super::super) fn start_pods(&mut self, lab: &Lab) -> Result<()> {
        for (name, api) in NAMES.iter().zip(&self.apis) {
            let token = api.issue("redirector-clusters", "redirector-clusters")?;
            let all = fs::read_to_string(self.files.join("kubeconfig")).context("a kubeconfig")?;
            let mut own: Value = serde_json::from_str(&all).context("a kubeconfig")?;
            own["current-context"] = (*name).into();
            for user in own["users"].as_array_mut().into_iter().flatten() {
                user["user"] = json!({"token": token});
            }
            write(&self.files.join(format!("kubeconfig-{name}")), &own.to_string())?;
        }
        (0..NAMES.len()).try_for_each(|at| self.start_pod(at, lab))
    }

    /// Ends the importer of the client's cluster as a crash would.
    pub(in super::super) fn kill_importer(&mut self) {
        self.pods[0] = None;
    }

    /// Starts it again.
    pub(in super::super) fn start_importer(&mut self, lab: &Lab) -> Result<()> {
        self.start_pod(0, lab)
    }

    fn start_pod(&mut self, at: usize, lab: &Lab) -> Result<()> {
        let name = NAMES[at];
        let path = self.files.join(format!("{name}.log"));
        let log = File::options().create(true).append(true).open(&path);
        let log = log.with_context(|| format!("cannot write {}", path.display()))?;
        let mut command = Command::new(&self.binary);
        command.args(["clusters", "--cluster", name, "--pod", POD, "--kubeconfig"]);
        command.arg(self.files.join(format!("kubeconfig-{name}")));
        command.env("NO_COLOR", "1").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let process = Place::netns(lab.node(name).netns()).spawn(command)?;
        self.pods[at] = Some(Process(process));
        Ok(())
    }
}

/// A context per cluster, that of the client's cluster first.
fn kubeconfig(apis: &[Api]) -> Result<String> {
    let (mut clusters, mut contexts, mut users) = (Vec::new(), Vec::new(), Vec::new());
    for (name, api) in NAMES.iter().zip(apis) {
        let text = fs::read_to_string(api.kubeconfig()).context("an API server's kubeconfig")?;
        let own: Value = serde_json::from_str(&text).context("a kubeconfig")?;
        clusters.push(json!({"name": name, "cluster": own["clusters"][0]["cluster"]}));
        users.push(json!({"name": name, "user": own["users"][0]["user"]}));
        let context = json!({"cluster": name, "user": name, "namespace": NAMESPACE});
        contexts.push(json!({"name": name, "context": context}));
    }
    let all = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": NAMES[0],
        "clusters": clusters, "contexts": contexts, "users": users,
    });
    Ok(all.to_string())
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Copies a folder with all that is below it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to)?;
        } else {
            fs::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
        }
    }
    Ok(())
}
