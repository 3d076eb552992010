//! The API server of `--kube`, and kubectl, which really runs: what it says is shown.

mod objects;

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use redirector_tests::{
    api::{Api, Options},
    lab::Node,
    netns::Netns,
    place::Place,
};
use serde_json::Value;

use self::objects::Rolled;
use super::{cast, interrupts};

/// The agent's own namespace.
const NAMESPACE: &str = "redirector-system";
/// A demo is too short to wait for a Lease of 15 s.
const DIVISOR: &str = "10";

/// The API server in the client's network, and where kubectl finds its files.
pub(super) struct Kube {
    _api: Api,
    netns: Netns,
    binary: PathBuf,
    directory: PathBuf,
}

impl Kube {
    /// An API server with the objects that a cluster has anyway, in the network of `node`, and
    /// files for kubectl in `directory`.
    pub(super) fn start(node: &Node, binary: &Path, directory: &Path) -> Result<Self> {
        let options =
            Options { netns: Some(node.netns().clone()), needs_crd: true, ..Options::default() };
        let api = Api::start(options)?;
        for object in objects::cluster() {
            api.put(object).context("the demo's cluster")?;
        }
        let pretty = |a1| serde_json::to_string_pretty(&objects::slice(a1)).context("a slice");
        for (name, text) in [
            ("west.yaml", objects::west()),
            ("policy.yaml", objects::policy()),
            ("a1-terminating.json", pretty(Rolled::Terminating)?),
            ("a1-gone.json", pretty(Rolled::Gone)?),
            ("a1-ready.json", pretty(Rolled::Ready)?),
            ("kubeconfig", kubeconfig(&api.kubeconfig())?),
        ] {
            let path = directory.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(Self {
            _api: api,
            netns: node.netns().clone(),
            binary: binary.to_owned(),
            directory: directory.to_owned(),
        })
    }

    /// Further arguments of the agent.
    pub(super) fn arguments() -> [String; 6] {
        [
            "--namespace",
            NAMESPACE,
            "--trusted-cidr",
            objects::WEST_CIDR,
            "--divide-timeouts",
            DIVISOR,
        ]
        .map(str::to_owned)
    }

    /// The path for `KUBECONFIG`.
    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.directory.join("kubeconfig")
    }

    /// What a user does on the first day, before the client begins. `say` shows it. False:
    /// interrupted.
    pub(super) fn set_up(&self, mut say: impl FnMut(&str)) -> Result<bool> {
        let (service, policy) = (cast::service(), objects::policy());
        let mut crd = Command::new(&self.binary);
        crd.arg("crd");
        let crd = self.run(crd, "redirector crd", "")?;
        say(&format!(
            "$ redirector crd | kubectl apply -f -\n{}",
            self.kubectl("apply -f -", &crd)?
        ));
        let steps = [
            "get nodes -L topology.kubernetes.io/zone".to_owned(),
            "get services,endpointslices".to_owned(),
            format!("label service {service} redirector.dev/failover=true"),
            "apply -f west.yaml".to_owned(),
            "apply -f policy.yaml".to_owned(),
            format!("wait --for=condition=Programmed failoverpolicy/{service} --timeout=60s"),
        ];
        for step in steps {
            if interrupts::came() {
                return Ok(false);
            }
            if step == "apply -f policy.yaml" {
                say(&format!("$ cat policy.yaml\n{policy}"));
            }
            say(&self.show(&step)?);
        }
        Ok(true)
    }

    /// Runs kubectl with these words, and returns the command and what it said.
    pub(super) fn show(&self, words: &str) -> Result<String> {
        Ok(format!("$ kubectl {words}\n{}", self.kubectl(words, "")?))
    }

    fn kubectl(&self, words: &str, input: &str) -> Result<String> {
        let mut kubectl = Command::new("kubectl");
        kubectl.args(words.split(' ')).env("KUBECONFIG", self.kubeconfig());
        kubectl.arg("--cache-dir").arg(self.directory.join("kubectl-cache"));
        self.run(kubectl, &format!("kubectl {words}"), input)
    }

    /// Runs a command in the client's network, among the demo's files; returns what it prints.
    fn run(&self, mut command: Command, shown: &str, input: &str) -> Result<String> {
        command.current_dir(&self.directory);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = Place::netns(&self.netns).spawn(command)?;
        if let Some(mut stdin) = child.stdin.take() {
            // A command that reads nothing may have ended already; its status tells.
            let _ = stdin.write_all(input.as_bytes());
        }
        let output = child.wait_with_output().context("cannot wait for a command")?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if !output.status.success() {
            bail!("`{shown}` failed: {}", text(&output.stderr).trim());
        }
        Ok(text(&output.stdout) + &text(&output.stderr))
    }
}

/// The server's kubeconfig, for the namespace of the demo.
fn kubeconfig(path: &Path) -> Result<String> {
    let text = fs::read_to_string(path).context("cannot read the API server's kubeconfig")?;
    let mut config: Value = serde_json::from_str(&text).context("a kubeconfig")?;
    config["contexts"][0]["context"]["namespace"] = cast::namespace().into();
    Ok(config.to_string())
}
