//! A client's node, three nodes with replicas, a file of services, and an agent of either version.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use redirector_tests::{
    agent::{Agent, AgentOptions},
    bpffs::Bpffs,
    cgroup::Cgroup,
    lab::Lab,
    names::Directory,
    place::Place,
    replica::Replica,
};

/// Small maps are soon made.
const SMALL: [&str; 6] = ["--max-slots", "8192", "--max-backends", "512", "--max-services", "256"];
const PORT: u16 = 8081;
/// Of the replica that is dead.
const DEAD: u16 = 8082;
/// On n2: connections that stay.
pub(crate) const LASTING: u16 = 9000;

pub(crate) const PLAIN4: &str = "10.96.0.10:80";
pub(crate) const PLAIN6: &str = "[fd00:96::10]:80";
pub(crate) const MAPPED: &str = "[::ffff:10.96.0.10]:80";
pub(crate) const TIERS: &str = "10.96.0.11:80";
pub(crate) const STICKY: &str = "10.96.0.12:80";
pub(crate) const UDP4: &str = "10.96.0.13:53";
pub(crate) const UDP6: &str = "[fd00:96::13]:53";
pub(crate) const LASTING4: &str = "10.96.0.16:80";
pub(crate) const LASTING6: &str = "[fd00:96::16]:80";
/// Not probed: what the kernel has ejected is out for as long as that says.
pub(crate) const QUIET: &str = "10.96.0.17:80";
/// Only in the file that the later version reads first.
pub(crate) const LATER: &str = "10.96.0.14:80";
pub(crate) const LATER_UDP: &str = "[fd00:96::15]:53";

/// Who starts the agent, and as whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Root; it loads by itself.
    Host,
    /// What the DaemonSet does.
    Node,
}

/// Fields drop in this order.
pub(crate) struct Fixture {
    pub(crate) agent: Agent,
    pub(crate) replicas: Vec<Replica>,
    pub(crate) bpffs: Bpffs,
    pub(crate) lab: Lab,
    pub(crate) cgroup: Cgroup,
    directory: Directory,
    pub(crate) form: Form,
}

impl Fixture {
    /// An agent of this binary, ready.
    pub(crate) fn new(form: Form, binary: &Path) -> Self {
        let lab = Lab::new(&["n1", "n2", "n3", "n4"]).expect("a lab");
        let replicas =
            [("n2", PORT), ("n3", PORT), ("n4", PORT), ("n3", DEAD)].map(|(name, port)| {
                let node = lab.node(name);
                let addresses = [node.socket4(port), node.socket6(port)];
                let name = if port == DEAD { "dead" } else { name };
                Replica::start(node.netns(), name, &addresses).expect("a replica")
            });
        let directory = Directory::new("upgrade").expect("a directory");
        let cgroup = Cgroup::new("upgrade").expect("a cgroup");
        let bpffs = Bpffs::mount().expect("a bpffs");
        let config = directory.path().join("services.yaml");
        fs::write(&config, file(false)).expect("the config");
        let program = program(&directory, form, binary);
        let mut options = AgentOptions::new(program, lab.node("n1"), &cgroup, &bpffs, &config);
        options.arguments = SMALL.map(str::to_owned).into();
        let agent = Agent::start(options).expect("an agent");
        Self { agent, replicas: replicas.into(), bpffs, lab, cgroup, directory, form }
    }

    /// The agent is of this binary from its next start on.
    pub(crate) fn set_binary(&mut self, binary: &Path) {
        self.agent.set_binary(program(&self.directory, self.form, binary));
    }

    /// With the services that are only in the later file.
    pub(crate) fn write_later(&self) {
        let beside = self.directory.path().join("new");
        fs::write(&beside, file(true)).expect("a file");
        fs::rename(beside, self.directory.path().join("services.yaml")).expect("the config");
    }

    /// Ends the replica that is to be ejected.
    pub(crate) fn kill_one(&mut self) {
        self.replicas[3].kill();
    }

    /// Where the applications are.
    pub(crate) fn place(&self) -> Place<'_> {
        Place::new(self.lab.node("n1").netns(), &self.cgroup)
    }

    /// What a verb prints. It must succeed.
    pub(crate) fn say(&self, verb: &str, arguments: &[&str]) -> String {
        let output = self.agent.ask(verb, arguments).expect("redirector");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{verb} {arguments:?}: {errors}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// Removes the frontend `STICKY` from what is kept for the way back.
    pub(crate) fn forget_kept(&self) {
        const KEY: [&str; 8] = ["10", "96", "0", "12", "80", "0", "6", "0"];
        let map = self.bpffs.pin_path().join("v3/FRONTENDS4");
        let mut bpftool = Command::new("bpftool");
        bpftool.args(["map", "delete", "pinned"]).arg(map).arg("key").args(KEY);
        let output = bpftool.output().expect("bpftool");
        assert!(output.status.success(), "{output:?}");
    }

    /// The names in a directory of the pins, sorted; none where there is no such directory.
    pub(crate) fn pinned(&self, directory: &str) -> Vec<String> {
        let entries = fs::read_dir(self.bpffs.pin_path().join(directory));
        let entries = entries.into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }
}

/// The binary itself, or a stand-in that loads and then runs it without capabilities.
fn program(directory: &Directory, form: Form, binary: &Path) -> PathBuf {
    if form == Form::Host {
        return binary.to_owned();
    }
    let line = format!(
        "#!/bin/sh\nREDIRECTOR_UNPRIVILEGED_BIN={} exec {} \"$@\"\n",
        binary.display(),
        env!("CARGO_BIN_EXE_unprivileged"),
    );
    let path = directory.path().join("redirector");
    fs::write(&path, line).expect("a script");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("an executable script");
    path
}

fn file(is_later: bool) -> String {
    let backend = |number: u8, port: u16, zone: &str| {
        format!(
            "  - {{address: '10.77.{number}.1:{port}', node: n{number}, zone: {zone}, region: eu}}\n  \
             - {{address: '[fd77::{number}:1]:{port}', node: n{number}, zone: {zone}, region: eu}}\n"
        )
    };
    let alive = [backend(2, PORT, "a"), backend(3, PORT, "b"), backend(4, PORT, "c")].concat();
    let all = alive.clone() + &backend(3, DEAD, "b");
    let probe = "probe: {tcp: {}, interval: 300ms, timeout: 300ms, unhealthy: 2, healthy: 2}";
    let tiers = "tiers: [{name: near, zones: [a]}, {name: far, zones: [b]}], \
                 failback: {holdDown: 1s, ramp: 1s}";
    let everywhere = "tiers: [{name: all, regions: [eu]}]";
    let mut text = String::from("node: {name: n1, zone: a, region: eu}\nservices:\n");
    let mut add = |name: &str, frontends: &str, more: &str, backends: &str| {
        text += &format!(
            "- name: shop/{name}\n  frontends: [{frontends}]\n{more}  backends:\n{backends}"
        );
    };
    let policy = |of: &str| format!("  policy: {{{of}}}\n");
    let probed = policy(&format!("{everywhere}, {probe}"));
    add("plain", &format!("'{PLAIN4}/tcp', '{PLAIN6}/tcp'"), &probed, &all);
    add("tiers", &format!("'{TIERS}/tcp'"), &policy(&format!("{tiers}, {probe}")), &alive);
    let sticky = format!("  affinity: {{timeout: 1h}}\n{probed}");
    add("sticky", &format!("'{STICKY}/tcp'"), &sticky, &alive);
    let udp = format!("'{UDP4}/udp', '{UDP6}/udp'");
    add("udp", &udp, &policy(everywhere), &alive);
    let lasting = format!("'{LASTING4}/tcp', '{LASTING6}/tcp'");
    add("lasting", &lasting, "", &backend(2, LASTING, "a"));
    let ejects = "probe: off, passive: {refused: 3, timeouts: 5, baseEjection: 300s}";
    let quiet = [backend(2, PORT, "a"), backend(3, DEAD, "b")].concat();
    add("quiet", &format!("'{QUIET}/tcp'"), &policy(&format!("{everywhere}, {ejects}")), &quiet);
    let everywhere = policy(everywhere);
    if is_later {
        add("later", &format!("'{LATER}/tcp'"), &probed, &alive);
        add("later-udp", &format!("'{LATER_UDP}/udp'"), &everywhere, &alive);
    }
    text
}
