//! Three API servers with what their clusters have anyway, and the pods that exchange Services.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};
use redirector_tests::{
    api::{Api, Options, builders},
    lab::Lab,
    place::{Place, Process},
};
use serde_json::{Value, json};

use super::{
    super::{
        cluster::{CLIENT_NODE, Member, NAMESPACE, PORT, SERVICE_NAME},
        kube,
        script::policy_lines,
    },
    CAST, NAMES,
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

/// Whether a node with replicas is one of that cluster.
pub(in super::super) fn is_in(cluster: &str, node: &str) -> bool {
    match node.split_once('-') {
        Some((of, _)) => of == cluster,
        None => cluster == NAMES[0],
    }
}

/// What there is in a cluster before a user asks for Redirector: Nodes, a Service, and its slice as the
/// endpoint slice controller makes it.
fn objects(cluster: &str, lab: &Lab) -> Vec<Value> {
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE},
    });
    let region = if cluster == "west" { "us" } else { "eu" };
    let node = |name: &'static str, zone: &str| -> Value {
        let address = lab.node(name).ipv4().to_string();
        let node = builders::Node::new(short(name)).zone(zone).region(region);
        node.internal_ip(&address).into()
    };
    let client = (cluster == NAMES[0]).then(|| node(CLIENT_NODE, "a"));
    let nodes = members(cluster).map(|member| node(member.node, zone(member)));
    let rest = [kube::service(), slice(cluster)];
    [namespace].into_iter().chain(client).chain(nodes).chain(rest).collect()
}

/// The slice of a cluster's Service.
fn slice(cluster: &str) -> Value {
    let slice = builders::EndpointSlice::new(NAMESPACE, &format!("{SERVICE_NAME}-1"), SERVICE_NAME);
    let add = |slice: builders::EndpointSlice, member: &Member| {
        let endpoint =
            builders::Endpoint::new(&member.address.to_string()).node(short(member.node));
        slice.endpoint(endpoint.zone(zone(member)).pod(NAMESPACE, member.name).ready(true))
    };
    members(cluster).fold(slice.port("", "TCP", PORT), add).into()
}

/// The replicas of a cluster.
fn members(cluster: &str) -> impl Iterator<Item = &'static Member> {
    CAST.members.iter().filter(move |member| is_in(cluster, member.node))
}

fn zone(member: &Member) -> &'static str {
    CAST.tier(member).zone.unwrap_or("a")
}

/// The name of a node in its cluster: names repeat between clusters.
fn short(node: &str) -> &str {
    node.rsplit('-').next().unwrap_or(node)
}

/// How Redirector is installed in a cluster: with what exchanges Services, and under its name.
fn kustomization(cluster: &str) -> String {
    format!(
        "apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../deploy/base]
components: [../deploy/components/clusters]
patches:
- target: {{kind: DaemonSet|Deployment}}
  patch: |
    - {{op: add, path: /spec/template/spec/containers/0/args/-, value: --cluster={cluster}}}
"
    )
}

/// What a user writes: the tiers, from near to far, and how patient to be.
fn policy() -> String {
    let lines = policy_lines("  ");
    format!(
        "apiVersion: redirector.dev/v1alpha1
kind: FailoverPolicy
metadata: {{name: {SERVICE_NAME}, namespace: {NAMESPACE}}}
spec:
  targetRefs: [{{kind: Service, name: {SERVICE_NAME}}}]
  tiers:
  - {{name: near, locality: Zone}}
  - {{name: region, locality: Region}}
  - {{name: west, clusters: [west]}}
  - {{name: north, clusters: [north]}}
  mode: LastResort
{lines}"
    )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cluster_has_its_replicas_and_nodes_of_the_same_names() {
        let nodes = |name: &str| {
            let slice = slice(name);
            let endpoints = slice["endpoints"].as_array().expect("endpoints").iter();
            let node = |endpoint: &Value| endpoint["nodeName"].as_str().map(str::to_owned);
            endpoints.filter_map(node).collect::<Vec<_>>()
        };
        assert_eq!(nodes("east"), ["n2", "n3", "n4", "n5"]);
        assert_eq!(nodes("west"), ["n2", "n3"]);
        assert_eq!(nodes("north"), ["n2", "n3"]);
    }
}
