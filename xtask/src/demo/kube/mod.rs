//! The API server of `--kube`, and a user's commands, which really run: what they say is shown.

mod objects;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use redirector_tests::{
    api::{Api, Options},
    lab::Node,
    netns::Netns,
    place::Place,
};

use self::objects::Rolled;
use super::interrupts;

/// The agent's own namespace.
const NAMESPACE: &str = "redirector-system";
/// Further arguments of the agent. A demo is too short to wait for a Lease of 15 s.
pub(super) const ARGUMENTS: [&str; 6] =
    ["--namespace", NAMESPACE, "--trusted-cidr", objects::WEST_CIDR, "--divide-timeouts", "10"];
/// What a user does on the first day, before the client begins.
const FIRST_DAY: [&str; 8] = [
    "redirector crd | kubectl apply -f -",
    "kubectl get nodes -L topology.kubernetes.io/zone",
    "kubectl get services,endpointslices",
    "kubectl label service checkout redirector.dev/failover=true",
    "kubectl apply -f west.yaml",
    "cat policy.yaml",
    "kubectl apply -f policy.yaml",
    "kubectl wait --for=condition=Programmed failoverpolicy/checkout --timeout=60s",
];

/// The API server in the client's network, and where commands find their files.
pub(super) struct Kube {
    api: Api,
    netns: Netns,
    directory: PathBuf,
}

impl Kube {
    /// An API server with the objects that a cluster has anyway, in the network of `node`, and
    /// files for kubectl in `directory`, which is to have a link to `redirector`.
    pub(super) fn start(node: &Node, directory: &Path) -> Result<Self> {
        let options =
            Options { netns: Some(node.netns().clone()), needs_crd: true, ..Options::default() };
        let api = Api::start(options)?;
        for object in objects::cluster() {
            api.put(object).context("the demo's cluster")?;
        }
        for (name, text) in [
            ("west.yaml", objects::WEST.to_owned()),
            ("policy.yaml", objects::policy()),
            ("a1-terminating.json", format!("{:#}", objects::slice(Rolled::Terminating))),
            ("a1-gone.json", format!("{:#}", objects::slice(Rolled::Gone))),
            ("a1-ready.json", format!("{:#}", objects::slice(Rolled::Ready))),
        ] {
            let path = directory.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        let kube = Self { api, netns: node.netns().clone(), directory: directory.to_owned() };
        kube.run("kubectl config set-context --current --namespace demo")?;
        Ok(kube)
    }

    /// The path for `KUBECONFIG`.
    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.api.kubeconfig()
    }

    /// Runs the commands of the first day, each given to `print` with what it says. False:
    /// interrupted.
    pub(super) fn set_up(&self, print: impl Fn(&str)) -> Result<bool> {
        for command in FIRST_DAY {
            if interrupts::came() {
                return Ok(false);
            }
            print(&self.run(command)?);
        }
        Ok(true)
    }

    /// Runs a shell's command in the client's network, among the demo's files; returns the command
    /// and what it prints: to stdout, or else to stderr, where otherwise there are only notes.
    pub(super) fn run(&self, command: &str) -> Result<String> {
        let mut path = self.directory.clone().into_os_string();
        path.push(":");
        path.push(env::var_os("PATH").unwrap_or_default());
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).current_dir(&self.directory).env("PATH", path);
        // kubectl keeps a cache in its home.
        shell.env("KUBECONFIG", self.kubeconfig()).env("HOME", &self.directory);
        shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = Place::netns(&self.netns).spawn(shell)?;
        let output = child.wait_with_output().context("cannot wait for a command")?;
        let [said, noted] = [output.stdout, output.stderr].map(String::from_utf8);
        let (said, noted) = (said?, noted?);
        ensure!(output.status.success(), "`{command}` failed: {}", noted.trim());
        Ok(format!("$ {command}\n{}", if said.is_empty() { noted } else { said }))
    }
}
