//! What these tests begin with: one node, a small configuration, and the real agent.

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output, Stdio},
    sync::MutexGuard,
};

use derive_more::Deref;
use redirector_tests::{
    bpftool, fixture::Site, one_at_a_time::one_at_a_time, place::Place, programs,
};
use serde_json::Value;

/// Small maps: `bpftool` writes every entry of an array, used or not.
const SMALL: [&str; 10] = [
    "--max-frontends",
    "16",
    "--max-services",
    "8",
    "--max-backends",
    "16",
    "--max-nodes",
    "8",
    "--max-slots",
    "256",
];

/// What the machine has before an agent comes. Some of these tests look at what the whole kernel has.
#[derive(Deref)]
pub struct Fixture {
    #[deref]
    site: Site,
    _alone: MutexGuard<'static, ()>,
}

impl Fixture {
    /// With this configuration.
    pub fn new(configuration: &str) -> Self {
        let alone = one_at_a_time();
        let site = Site::new("inspect", &["node", "far"]).with_maps(&SMALL);
        site.write(configuration);
        Self { site, _alone: alone }
    }

    /// Runs the binary to its end, on this node. The arguments are all it gets.
    pub fn redirector(&self, arguments: &[&OsStr]) -> Output {
        let mut command = Command::new(programs::redirector().expect("the redirector"));
        command.args(arguments);
        self.run(command)
    }

    /// Runs any program to its end, on this node.
    pub fn run(&self, mut command: Command) -> Output {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = Place::netns(self.node().netns()).spawn(command).expect("a process");
        child.wait_with_output().expect("its end")
    }

    /// `load`, on this site's cgroup and pins, with small maps.
    pub fn load(&self, more: &[&str]) -> Output {
        self.load_into(self.cgroup.path(), &[&SMALL, more].concat())
    }

    /// `load`, on a cgroup and this site's pins.
    pub fn load_into(&self, cgroup: &Path, more: &[&str]) -> Output {
        let cgroup = cgroup.display().to_string();
        self.on_pins("load", &[&["--cgroup", &cgroup], more].concat())
    }

    /// `unload` of this site's pins, which must succeed.
    pub fn unload(&self) {
        let output = self.on_pins("unload", &[]);
        assert!(output.status.success(), "{}", errors(&output));
    }

    /// Another command on the same pins.
    pub fn on_pins(&self, command: &str, more: &[&str]) -> Output {
        let pin_path = self.bpffs.pin_path();
        let mut arguments: Vec<&OsStr> = [command, "--pin-path"].map(OsStr::new).into();
        arguments.push(pin_path.as_os_str());
        arguments.extend(more.iter().map(OsStr::new));
        self.redirector(&arguments)
    }

    /// `command -o json`, read.
    pub fn json(&self, command: &str) -> Value {
        let output = self.on_pins(command, &["-o", "json"]);
        assert!(output.status.success(), "{command}: {}", errors(&output));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// A map's entries, by bpftool.
    pub fn entries(&self, name: &str) -> Vec<Value> {
        bpftool::dump(&self.map(name)).expect("a dump")
    }
}

/// What a command complained about.
pub fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A command that must fail with exactly one line, which it returns.
pub fn complaint(output: &Output) -> String {
    let text = errors(output);
    assert!(!output.status.success(), "it should have failed: {output:?}");
    let lines: Vec<_> = text.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(lines.len(), 1, "one error line: {text}");
    lines[0].to_owned()
}

/// The permissions of a file, for example 0o600.
pub fn mode(path: &Path) -> u32 {
    let metadata = fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    metadata.permissions().mode() & 0o7777
}

/// Two families, three protocols' worth of services: with and without backends, one ejected.
pub const CONFIGURATION: &str = r#"
node: {name: n1, zone: a, region: eu, cluster: local}
services:
- name: shop/web
  frontends: ["10.96.0.10:80/tcp", "10.96.0.11:8080/tcp", "[fd00:96::a]:80/tcp"]
  affinity: {timeout: 1h}
  backends:
  - {address: "10.77.2.1:8080", node: n1, zone: a, region: eu}
  - {address: "10.77.2.2:8080", node: n2, zone: b, region: eu}
  - {address: "10.77.2.3:8080", node: n3, zone: b, region: eu, weight: 3}
  - {address: "[fd77::2:1]:8080", node: n1, zone: a, region: eu}
  policy: {probe: off, allDown: Refuse}
- name: shop/dns
  frontends: ["10.96.0.53:53/udp", "[fd00:96::35]:53/udp"]
  backends:
  - {address: "10.77.2.1:5353"}
  - {address: "[fd77::2:1]:5353"}
- name: shop/nobody
  frontends: ["10.96.0.20:80/tcp"]
  backends: []
"#;
