//! Two clusters with an API server each, in a network of their own, and a user with kubectl and `redirector`.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use redirector_tests::{
    api::{Api, Options},
    netns::Netns,
    place::Place,
    programs,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::render::{copy_folder, deploy};

/// East and west. Fields are dropped in order.
pub(super) struct Pair {
    pub(super) east: Api,
    pub(super) west: Api,
    /// What the user has: `deploy`, a kubeconfig with a context for each, `redirector`.
    pub(super) files: TempDir,
    pub(super) netns: Netns,
}

impl Pair {
    /// Both without anything of Redirector.
    pub(super) fn new() -> Self {
        let netns = Netns::new().expect("a network");
        let api = || {
            let netns = Some(netns.clone());
            Api::start(Options { netns, needs_crd: true, ..Options::default() }).expect("a server")
        };
        let (east, west) = (api(), api());
        let files = TempDir::new().expect("a folder");
        for part in ["base", "components", "crd"] {
            copy_folder(&deploy().join(part), &files.path().join("deploy").join(part));
        }
        let pair = Self { east, west, files, netns };
        pair.write("kubeconfig", &pair.kubeconfig("east", None));
        let binary = programs::redirector().expect("the binary");
        std::os::unix::fs::symlink(binary, pair.files.path().join("redirector")).expect("a link");
        pair
    }

    pub(super) fn of(&self, cluster: &str) -> &Api {
        match cluster {
            "east" => &self.east,
            "west" => &self.west,
            other => panic!("there is no cluster {other}"),
        }
    }

    /// Writes a file of the user's.
    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.files.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, text).expect("a file");
        path
    }

    /// What a command of a shell prints, as the user runs it. Panics if it fails.
    pub(super) fn run(&self, command: &str, input: &str) -> String {
        let output = self.try_run(command, input);
        let (said, noted) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{command}:\n{said}{noted}");
        format!("{said}{noted}")
    }

    /// How it ends.
    pub(super) fn try_run(&self, command: &str, input: &str) -> Output {
        let files = self.files.path();
        let mut path = files.as_os_str().to_owned();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        self.write("input", input);
        let input = fs::File::open(files.join("input")).expect("the input");
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).current_dir(files).env("PATH", path);
        // kubectl keeps a cache in its home.
        shell.env("KUBECONFIG", files.join("kubeconfig")).env("HOME", files);
        shell.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = Place::netns(&self.netns).spawn(shell).expect("a shell");
        child.wait_with_output().expect("it ends")
    }

    /// A kubeconfig with a context per cluster, for an administrator or with that token.
    pub(super) fn kubeconfig(&self, current: &str, token: Option<&str>) -> String {
        let (mut clusters, mut contexts, mut users) = (Vec::new(), Vec::new(), Vec::new());
        for (name, api) in [("east", &self.east), ("west", &self.west)] {
            let text = fs::read_to_string(api.kubeconfig()).expect("a kubeconfig");
            let own: Value = serde_json::from_str(&text).expect("JSON");
            let user = match token {
                Some(token) => json!({"token": token}),
                None => own["users"][0]["user"].clone(),
            };
            clusters.push(json!({"name": name, "cluster": own["clusters"][0]["cluster"]}));
            users.push(json!({"name": name, "user": user}));
            contexts.push(json!({"name": name, "context": {"cluster": name, "user": name}}));
        }
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": current,
            "clusters": clusters, "contexts": contexts, "users": users,
        })
        .to_string()
    }
}
