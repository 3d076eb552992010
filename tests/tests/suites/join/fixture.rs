//! Three clusters that know nothing of each other, one kubeconfig with a context for each, and the
//! command line.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use redirector_tests::{
    api::{Api, Options, Verb, base64, resources},
    netns::Netns,
    place::Place,
    programs,
};
use serde_json::{Value, json};

/// Ids and contexts, in the order of their numbers.
pub const CLUSTERS: [&str; 3] = ["east", "west", "north"];
/// What joins west to east, but for its contexts.
pub const WEST: [&str; 5] = ["west", "--cidr", "10.2.0.0/16", "--encryption", "off"];
/// The account's user in west.
pub const IMPORTER: &str = "system:serviceaccount:redirector-exports:importer-east";

/// Three clusters.
pub struct World {
    pub apis: BTreeMap<&'static str, Api>,
    /// Where they and the commands are, if that is not this process's network.
    netns: Option<Netns>,
    files: tempfile::TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl World {
    pub fn new() -> Self {
        Self::with(&Options::default())
    }

    /// With API servers like that.
    pub fn with(options: &Options) -> Self {
        let start =
            |name: &'static str| (name, Api::start(options.clone()).expect("an API server"));
        let apis: BTreeMap<_, _> = CLUSTERS.map(start).into();
        let (netns, files) = (options.netns.clone(), tempfile::tempdir().expect("a directory"));
        let world = Self { apis, netns, files };
        for (at, name) in CLUSTERS.into_iter().enumerate() {
            let (api, number) = (world.api(name), at + 1);
            api.put(json!({
                "apiVersion": "about.k8s.io/v1beta1", "kind": "ClusterProperty",
                "metadata": {"name": "cluster.clusterset.k8s.io"}, "spec": {"value": name},
            }))
            .expect("an id");
            api.put(json!({
                "apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"},
                "spec": {"podCIDRs": [format!("10.{number}.0.0/24")]},
                "status": {"addresses": [{"type": "InternalIP", "address": format!("192.0.2.{number}")}]},
            }))
            .expect("a Node");
        }
        let contexts: Vec<_> = CLUSTERS.map(|name| (name, name, "admin-token")).into();
        world.write_kubeconfig("kubeconfig", &contexts);
        world
    }

    pub fn api(&self, name: &str) -> &Api {
        &self.apis[name]
    }

    /// A file of this world.
    pub fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// A kubeconfig with contexts of these clusters and tokens. JSON is YAML.
    pub fn write_kubeconfig(&self, file: &str, contexts: &[(&str, &str, &str)]) {
        let cluster = |(_, name, _): &(&str, &str, &str)| {
            let api = self.api(name);
            json!({"name": name, "cluster": {"server": api.url(),
                "certificate-authority-data": base64::standard(api.ca().as_bytes())}})
        };
        let user = |(context, _, token): &(&str, &str, &str)| json!({"name": context, "user": {"token": token}});
        let context = |(context, name, _): &(&str, &str, &str)| json!({"name": context, "context": {"cluster": name, "user": context}});
        let all = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "east",
            "clusters": contexts.iter().map(cluster).collect::<Vec<_>>(),
            "users": contexts.iter().map(user).collect::<Vec<_>>(),
            "contexts": contexts.iter().map(context).collect::<Vec<_>>(),
        });
        fs::write(self.file(file), all.to_string()).expect("a kubeconfig");
    }

    /// `redirector cluster …` with this world's kubeconfig.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        self.run_with(&self.file("kubeconfig"), arguments)
    }

    /// The same with another kubeconfig.
    pub fn run_with(&self, kubeconfig: &Path, arguments: &[&str]) -> Ended {
        let mut command = Command::new(programs::redirector().expect("redirector"));
        command.arg("cluster").args(arguments).arg("--kubeconfig").arg(kubeconfig);
        command.env_remove("KUBECONFIG").env("HOME", self.files.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = Place { netns: self.netns.as_ref(), cgroup: None }.spawn(command);
        let Output { status, stdout, stderr } =
            child.expect("redirector").wait_with_output().expect("its end");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let code = status.code().unwrap_or(-1);
        Ended { code, stdout: text(stdout), stderr: text(stderr) }
    }

    /// Joins west to east, with further arguments.
    pub fn join_west(&self, further: &[&str]) -> Ended {
        let contexts = ["--context", "east", "--remote-context", "west"];
        self.run(&[&["join"], &WEST[..], &contexts, further].concat())
    }

    /// Everything that these clusters keep: cluster and object to its version.
    pub fn versions(&self) -> BTreeMap<String, Value> {
        let mut all = BTreeMap::new();
        for (cluster, api) in &self.apis {
            for row in resources::ALL.iter().filter(|row| !row.is_question) {
                for object in api.list(row.plural) {
                    let metadata = &object["metadata"];
                    let text = |field: &str| metadata[field].as_str().unwrap_or_default();
                    let (namespace, name) = (text("namespace"), text("name"));
                    let version = metadata["resourceVersion"].clone();
                    all.insert(format!("{cluster}: {} {namespace}/{name}", row.kind), version);
                }
            }
        }
        all
    }

    /// Names of everything.
    pub fn names(&self) -> Vec<String> {
        self.versions().into_keys().collect()
    }

    /// Writes that a cluster was asked for: verb and resource.
    pub fn writes(&self, cluster: &str) -> Vec<(Verb, String)> {
        let requests = self.api(cluster).requests().into_iter();
        let is_write = |verb| !matches!(verb, Verb::Get | Verb::List | Verb::Watch);
        requests
            .filter(|request| is_write(request.verb))
            .map(|request| (request.verb, request.resource))
            .collect()
    }

    /// The token in the Secret `west` of east.
    pub fn token(&self) -> String {
        let secret =
            self.api("east").get("secrets", "redirector-clusters", "west").expect("a Secret");
        let token = secret["data"]["token"].as_str().expect("a token");
        let bytes =
            k8s_openapi::ByteString::clone(&serde_json::from_value(json!(token)).expect("base64"));
        String::from_utf8(bytes.0).expect("text")
    }
}

impl Ended {
    /// Panics unless it has ended well.
    pub fn good(self) -> Self {
        assert_eq!(self.code, 0, "{}\n{}", self.stdout, self.stderr);
        self
    }

    /// Panics unless it has failed with an error that has these parts.
    pub fn failed(self, parts: &[&str]) -> Self {
        assert_eq!(self.code, 1, "{}\n{}", self.stdout, self.stderr);
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} is not in: {}", self.stderr);
        }
        self
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|why| panic!("{why}: {}", self.stdout))
    }
}
