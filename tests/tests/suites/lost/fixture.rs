//! A node with an application and an agent, a node with a replica, and all that can be taken from the
//! agent.

use std::{
    fs::{self, File},
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use derive_more::{Deref, DerefMut};
use redirector_tests::{
    agent::{Agent, AgentOptions},
    bpffs::Bpffs,
    dialer::{Client, Dial},
    fixture::{self, SMALL, Site},
    place::Process,
    privileges::{AGENT, LOADER, LOADING, User},
    programs,
    wait::wait_until,
};

/// What the agent says within.
pub const SWEEP: Duration = Duration::from_secs(10);
const PORT: u16 = 8080;
const SERVICES: [&str; 2] = ["10.96.0.1:80", "[fd00:96::1]:80"];

/// Fields drop in this order.
#[derive(Deref, DerefMut)]
pub struct Fixture {
    #[deref]
    #[deref_mut]
    fixture: fixture::Fixture,
    /// Removes what is left, after the agent.
    _unload: Unload,
    client: Client,
}

impl Fixture {
    /// An agent of root, which may load.
    pub fn privileged() -> Self {
        Self::new(|_| programs::redirector().expect("the binary"), Bpffs::pin_path)
    }

    /// A pod: a loader that has run once, then an agent without capabilities, in a mount namespace
    /// that has of the BPF file system the directory of the pins alone. Started again, it gets the
    /// directory that is there by then, and no loader, as a container does.
    pub fn pod() -> Self {
        Self::new(container, |bpffs| seen_at(bpffs.path()))
    }

    fn new(binary: impl Fn(&Site) -> PathBuf, pin_path: impl Fn(&Bpffs) -> PathBuf) -> Self {
        let site = Site::new("lost", &["n1", "n2"]).with_replica("n2", "r", PORT);
        let [service4, service6] = SERVICES;
        let [replica4, replica6] = site.replicas[0].addresses() else { panic!("two addresses") };
        site.write(&format!(
            "node: {{name: n1}}\nservices:\n- name: shop/web\n  frontends: ['{service4}/tcp', \
             '{service6}/tcp']\n  backends: [{{address: '{replica4}'}}, {{address: '{replica6}'}}]\n"
        ));
        let (binary, pin_path) = (binary(&site), pin_path(&site.bpffs));
        let options = AgentOptions { binary, pin_path, ..site.options() };
        let agent = Agent::start(options).expect("an agent");
        let (client, unload) = (site.client(), Unload(site.bpffs.pin_path()));
        let fixture = fixture::Fixture { agent, site };
        let mut fixture = Self { fixture, _unload: unload, client };
        assert!(fixture.is_redirected(), "{}", fixture.agent.log());
        fixture
    }

    /// A loader that stands by, with the capabilities for it and none besides.
    pub fn loader(&self) -> Loader {
        let log = File::create(self.directory.path().join("loader.log")).expect("a log");
        let mut command = LOADER.command(&real(), LOADING);
        command.args(load(&self.site, &self.agent.run_directory()));
        command.arg("--stand-by").stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a log")).stderr(log);
        let loader = Loader(Process(command.spawn().expect("a loader")));
        wait_until("a loader stands by", || self.loader_log().contains("standing by"));
        loader
    }

    /// Whether both addresses lead to the replica.
    pub fn is_redirected(&mut self) -> bool {
        SERVICES.iter().all(|service| {
            let dial = Dial { timeout_ms: 200, ..Dial::tcp(service.parse().expect("an address")) };
            let dialled = self.client.dial(dial, 3).expect("dials");
            dialled.iter().all(|one| one.outcome.as_deref() == Ok("r"))
        })
    }

    /// Waits until the agent says that it is not ready for want of `what`; returns what it says.
    pub fn wait_for_loss(&self, what: &str) -> String {
        let start = Instant::now();
        let mut said = String::new();
        wait_until(&format!("the agent misses {what}"), || {
            let Ok((status, text)) = self.agent.get("/readyz") else { return false };
            said = text;
            status == 503 && said.contains(what)
        });
        let took = start.elapsed();
        println!("{what}: said after {took:.1?}: {}", said.trim());
        assert!(took < SWEEP + Duration::from_secs(2), "{took:?}");
        said
    }

    /// Waits until the agent is ready and connects are redirected.
    pub fn wait_until_healed(&mut self) {
        let start = Instant::now();
        wait_until("all is whole again", || self.agent.is_ready().is_ok_and(|is_so| is_so));
        assert!(self.is_redirected(), "{}", self.agent.log());
        println!("ready again, and connects redirected, after {:.1?}", start.elapsed());
        assert_eq!(self.agent.metrics()["redirector_pins_lost"], 0.0);
    }

    /// What `explain` prints.
    pub fn explain(&self) -> String {
        self.agent.answer("explain", &["shop/web"])
    }

    /// What `status` prints, of the pins as the node sees them.
    pub fn status(&self) -> String {
        let mut status = Command::new(real());
        status.args(["status", "--pin-path"]).arg(self.bpffs.pin_path());
        let output = status.arg("--run-dir").arg(self.agent.run_directory()).output();
        let output = output.expect("redirector");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// What the last loader has said.
    pub fn loader_log(&self) -> String {
        fs::read_to_string(self.directory.path().join("loader.log")).expect("a log")
    }
}

/// Detaches a link for good, as an administrator would by mistake.
pub fn detach(bpffs: &Bpffs, program: &str) {
    let link = bpffs.pin_path().join("links").join(program);
    let mut bpftool = Command::new("bpftool");
    let output = bpftool.args(["link", "detach", "pinned"]).arg(link).output().expect("bpftool");
    assert!(output.status.success(), "{output:?}");
}

/// A loader that stands by. Dropping it kills it.
pub struct Loader(Process);

impl Loader {
    /// Asks it to end.
    pub fn terminate(&self) {
        let pid = nix::unistd::Pid::from_raw(self.0.0.id().cast_signed());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("a signal");
    }

    /// Waits until it has ended well, as it does when it has loaded or was asked to end.
    pub fn wait_for_end(&mut self) {
        assert!(self.status().success());
    }

    /// Waits until it has ended with an error.
    pub fn wait_for_failure(&mut self) {
        assert!(!self.status().success());
    }

    fn status(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the loader ends", || {
            status = self.0.0.try_wait().expect("its status");
            status.is_some()
        });
        status.expect("it has ended")
    }
}

/// Removes what is pinned below this path.
struct Unload(PathBuf);

impl Drop for Unload {
    fn drop(&mut self) {
        if self.0.exists() {
            let unload = Command::new(real()).args(["unload", "--pin-path"]).arg(&self.0).output();
            assert!(unload.is_ok_and(|output| output.status.success()), "nothing was unloaded");
        }
    }
}

fn real() -> PathBuf {
    programs::redirector().expect("the binary")
}

fn load(site: &Site, run: &Path) -> Vec<String> {
    let (cgroup, pins) = (site.cgroup.path(), site.bpffs.pin_path());
    let [cgroup, pins, run] = [cgroup, &pins, run].map(|path| path.display().to_string());
    let owner = LOADER.owner();
    let own = ["--cgroup", &cgroup, "--pin-path", &pins, "--run-dir", &run, "--owner", &owner];
    ["load"].iter().chain(&own).chain(&SMALL).map(|word| (*word).to_owned()).collect()
}

/// Where the agent of a pod sees the pins: beside the BPF file system, not in it.
fn seen_at(bpffs: &Path) -> PathBuf {
    let name = bpffs.file_name().expect("a name").display().to_string();
    bpffs.with_file_name(format!("{name}-seen"))
}

/// A script that runs the loader the first time, and the agent as a container runtime would.
fn container(site: &Site) -> PathBuf {
    let Site { bpffs, directory, .. } = site;
    let (pins, seen) = (bpffs.pin_path(), seen_at(bpffs.path()));
    chown(bpffs.path(), Some(LOADER.user), Some(LOADER.group)).expect("the loader's");
    let loaded = directory.path().join("loaded");
    let run = Path::new("$run");
    let [pins, seen, loaded] = [&pins, &seen, &loaded].map(|path| path.display());
    let script = format!(
        "set -e\n\
         [ \"$1\" = agent ] || exec {agent} \"$@\"\n\
         for word in \"$@\"; do [ \"$before\" = --run-dir ] && run=$word; before=$word; done\n\
         if [ ! -e {loaded} ]; then\n\
         above=$(dirname \"$run\"); chown {owner} \"$above\"; chmod 711 \"$above\"\n\
         {loader} {load}\ntouch {loaded}\nfi\n\
         [ -d {pins} ] || {{ mkdir {pins}; chown {owner} {pins}; }}\n\
         mkdir -p {seen}\n\
         exec unshare --mount --propagation private sh -c \
         'mount --bind {pins} {seen}; exec {agent} \"$@\"' sh \"$@\"\n",
        agent = words(AGENT, &[]),
        loader = words(LOADER, LOADING),
        owner = LOADER.owner(),
        load = load(site, run).join(" "),
    );
    directory.script("redirector", &script).expect("a script")
}

/// The command line of the binary as that user.
fn words(user: User, capabilities: &[&str]) -> String {
    let command = user.command(&real(), capabilities);
    let all = [command.get_program()].into_iter().chain(command.get_args());
    all.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
