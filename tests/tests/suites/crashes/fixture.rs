//! A network with replicas, a place for programs and pins, and what ends the processes that change it.

use std::{
    ffi::OsString,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use derive_more::Deref;
use redirector_tests::{
    agent::{Agent, AgentOptions},
    crash::{CRASHED, Crasher},
    fixture::Site,
    place::Place,
    programs,
};

/// Maps that are made quickly.
pub(crate) const SMALL: &[&str] = &[
    "--max-frontends=256",
    "--max-services=64",
    "--max-backends=64",
    "--max-nodes=16",
    "--max-slots=4096",
    "--max-seats=4096",
];
/// Other capacities than those.
pub(crate) const LARGER: &[&str] = &[
    "--max-frontends=512",
    "--max-services=128",
    "--max-backends=128",
    "--max-nodes=32",
    "--max-slots=8192",
    "--max-seats=4096",
];
/// The node whose addresses are dialled, and who answers there without us, as kube-proxy's would.
pub(crate) const PLAIN: &str = "plain";

/// Everything but who dials.
#[derive(Deref)]
pub(crate) struct Fixture {
    #[deref]
    site: Site,
    pub(crate) crasher: Crasher,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let site = Site::new("crashes", &["n1", "n2", "n3", PLAIN]).with_maps(SMALL);
        let site = [
            ("n2", "web-n2", 8081),
            ("n3", "web-n3", 8081),
            ("n2", "dns-n2", 8082),
            ("n3", "dns-n3", 8082),
            (PLAIN, PLAIN, 80),
            (PLAIN, PLAIN, 53),
        ]
        .into_iter()
        .fold(site, |site, (node, name, port)| site.with_replica(node, name, port));
        Self { site, crasher: Crasher::new().expect("a crasher") }
    }

    /// An agent that the crasher may end; it has not been started.
    pub(crate) fn options(&self, crasher: Option<Crasher>) -> AgentOptions {
        AgentOptions { crasher, ..self.site.options() }
    }

    /// Fills the maps: an agent comes, and goes again.
    pub(crate) fn fill(&self) -> Agent {
        let mut agent = Agent::start(self.options(None)).expect("an agent");
        agent.stop().expect("it ends");
        agent
    }

    /// `load` to its end; must succeed. Returns its log.
    pub(crate) fn load(&self, more: &[&str]) -> String {
        succeeded(&self.run(Command::new(binary()), &self.loading(more)))
    }

    /// `unload` to its end; must succeed. Returns its log.
    pub(crate) fn unload(&self) -> String {
        succeeded(&self.run(Command::new(binary()), &self.unloading()))
    }

    /// `load`, which is killed before its `number`-th call. Whether it was.
    pub(crate) fn crash_load(&self, number: usize, more: &[&str]) -> bool {
        self.crash(number, &self.loading(more))
    }

    /// The same for `unload`.
    pub(crate) fn crash_unload(&self, number: usize) -> bool {
        self.crash(number, &self.unloading())
    }

    /// The calls of a whole `load`.
    pub(crate) fn calls_of_load(&self, more: &[&str]) -> Vec<String> {
        self.crasher.set_end(None).expect("no end");
        let command = self.crasher.command(&binary()).expect("a command");
        succeeded(&self.run(command, &self.loading(more)));
        self.crasher.calls().expect("its calls")
    }

    fn crash(&self, number: usize, arguments: &[OsString]) -> bool {
        self.crasher.set_end(Some(number)).expect("an end");
        let command = self.crasher.command(&binary()).expect("a command");
        let output = self.run(command, arguments);
        if output.status.code() == Some(CRASHED) {
            return true;
        }
        succeeded(&output);
        false
    }

    fn run(&self, mut command: Command, arguments: &[OsString]) -> Output {
        command.args(arguments).env("NO_COLOR", "1");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = Place::netns(self.node().netns()).spawn(command).expect("a process");
        child.wait_with_output().expect("its end")
    }

    fn loading(&self, more: &[&str]) -> Vec<OsString> {
        let mut arguments = self.with_pins("load");
        arguments.extend(["--cgroup".into(), self.cgroup.path().into()]);
        let small = if more.is_empty() { SMALL } else { more };
        arguments.extend(small.iter().map(OsString::from));
        arguments
    }

    fn unloading(&self) -> Vec<OsString> {
        let mut arguments = self.with_pins("unload");
        // Not that of the machine.
        arguments.extend(["--run-dir".into(), self.directory.path().join("none").into()]);
        arguments
    }

    fn with_pins(&self, subcommand: &str) -> Vec<OsString> {
        [subcommand.into(), "--pin-path".into(), self.bpffs.pin_path().into()].into()
    }
}

fn binary() -> PathBuf {
    programs::redirector().expect("the binary")
}

/// What it has printed. A panic with that if it failed.
fn succeeded(output: &Output) -> String {
    let text = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    let text = text.concat();
    assert!(output.status.success(), "{}: {text}", output.status);
    text
}
