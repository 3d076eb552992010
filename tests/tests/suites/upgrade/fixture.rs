//! A client's node, three nodes with replicas, a file of services, and an agent of either version.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use derive_more::{Deref, DerefMut};
use redirector_tests::fixture::{self, Site};

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

#[derive(Deref, DerefMut)]
pub(crate) struct Fixture {
    #[deref]
    #[deref_mut]
    pub(crate) fixture: fixture::Fixture,
    pub(crate) form: Form,
}

impl Fixture {
    /// An agent of this binary, ready.
    pub(crate) fn new(form: Form, binary: &Path) -> Self {
        let site = Site::new("upgrade", &["n1", "n2", "n3", "n4"]);
        let site = site.with_replicas(&["n2", "n3", "n4"], PORT).with_replica("n3", "dead", DEAD);
        let program = program(&site, form, binary);
        Self { fixture: site.start_binary(program, &file(false)), form }
    }

    /// The agent is of this binary from its next start on.
    pub(crate) fn set_binary(&mut self, binary: &Path) {
        let program = program(&self.fixture.site, self.form, binary);
        self.agent.set_binary(program);
    }

    /// With the services that are only in the later file.
    pub(crate) fn write_later(&self) {
        self.write(&file(true));
    }

    /// Ends the replica that is to be ejected.
    pub(crate) fn kill_one(&mut self) {
        self.replicas[3].kill();
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
fn program(site: &Site, form: Form, binary: &Path) -> PathBuf {
    if form == Form::Host {
        return binary.to_owned();
    }
    let line = format!(
        "REDIRECTOR_UNPRIVILEGED_BIN={} exec {} \"$@\"\n",
        binary.display(),
        env!("CARGO_BIN_EXE_unprivileged"),
    );
    site.directory.script("redirector", &line).expect("a script")
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
