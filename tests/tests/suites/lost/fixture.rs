//! A node with an application and an agent, a node with a replica, and all that can be taken from the
//! agent.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use redirector_tests::{
    agent::{Agent, AgentOptions},
    bpffs::Bpffs,
    cgroup::Cgroup,
    dialer::{Client, Dial},
    lab::Lab,
    names::Directory,
    place::Place,
    privileges::{AGENT, LOADER, LOADING, User},
    programs,
    replica::Replica,
};

pub use redirector_tests::wait::wait_until;

/// What the agent says within.
pub const SWEEP: Duration = Duration::from_secs(10);
const SMALL: [&str; 6] = ["--max-slots", "4096", "--max-backends", "256", "--max-services", "256"];
const PORT: u16 = 8080;
const SERVICES: [&str; 2] = ["10.96.0.1:80", "[fd00:96::1]:80"];

/// Fields drop in this order.
pub struct Fixture {
    pub agent: Agent,
    /// Removes what is left, after the agent.
    _unload: Unload,
    client: Client,
    _replica: Replica,
    pub bpffs: Bpffs,
    cgroup: Cgroup,
    directory: Directory,
    _lab: Lab,
}

impl Fixture {
    /// An agent of root, which may load.
    pub fn privileged() -> Self {
        Self::new(|_, _, _| programs::redirector().expect("the binary"), Bpffs::pin_path)
    }

    /// A pod: a loader that has run once, then an agent without capabilities, in a mount namespace
    /// that has of the BPF file system the directory of the pins alone. Started again, it gets the
    /// directory that is there by then, and no loader, as a container does.
    pub fn pod() -> Self {
        Self::new(container, |bpffs| seen_at(bpffs.path()))
    }

    fn new(
        binary: impl Fn(&Directory, &Cgroup, &Bpffs) -> PathBuf,
        pin_path: impl Fn(&Bpffs) -> PathBuf,
    ) -> Self {
        let lab = Lab::new(&["n1", "n2"]).expect("a lab");
        let far = lab.node("n2");
        let addresses = [far.socket4(PORT), far.socket6(PORT)];
        let replica = Replica::start(far.netns(), "r", &addresses).expect("a replica");
        let directory = Directory::new("lost").expect("a directory");
        let (cgroup, bpffs) =
            (Cgroup::new("lost").expect("a cgroup"), Bpffs::mount().expect("a bpffs"));
        let config = directory.path().join("services.yaml");
        let [service4, service6] = SERVICES;
        let [replica4, replica6] = addresses;
        let text = format!(
            "node: {{name: n1}}\nservices:\n- name: shop/web\n  frontends: ['{service4}/tcp', \
             '{service6}/tcp']\n  backends: [{{address: '{replica4}'}}, {{address: '{replica6}'}}]\n"
        );
        fs::write(&config, text).expect("the config");
        let binary = binary(&directory, &cgroup, &bpffs);
        let mut options = AgentOptions::new(binary, lab.node("n1"), &cgroup, &bpffs, &config);
        options.pin_path = pin_path(&bpffs);
        options.arguments = SMALL.map(str::to_owned).into();
        let agent = Agent::start(options).expect("an agent");
        let client = Client::start(Place::new(lab.node("n1").netns(), &cgroup)).expect("a client");
        let unload = Unload(bpffs.pin_path());
        let mut site = Self {
            agent,
            _unload: unload,
            client,
            _replica: replica,
            bpffs,
            cgroup,
            directory,
            _lab: lab,
        };
        assert!(site.is_redirected(), "{}", site.agent.log());
        site
    }

    /// A loader that stands by, with the capabilities for it and none besides.
    pub fn loader(&self) -> Loader {
        let log = fs::File::create(self.directory.path().join("loader.log")).expect("a log");
        let mut command = LOADER.command(&real(), LOADING);
        command.args(load(self.cgroup.path(), &self.bpffs.pin_path(), &self.agent.run_directory()));
        command.arg("--stand-by").stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a log")).stderr(log);
        let loader = Loader(command.spawn().expect("a loader"));
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
        let (_, metrics) = self.agent.get("/metrics").expect("metrics");
        assert!(metrics.lines().any(|line| line == "redirector_pins_lost 0"), "{metrics}");
    }

    /// What `explain` prints.
    pub fn explain(&self) -> String {
        let output = self.agent.ask("explain", &["shop/web"]).expect("redirector");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
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

    /// How often the log says that.
    pub fn logged(&self, what: &str) -> usize {
        self.agent.log().lines().filter(|line| line.contains(what)).count()
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
pub struct Loader(Child);

impl Loader {
    /// Asks it to end.
    pub fn terminate(&self) {
        let pid = nix::unistd::Pid::from_raw(self.0.id().cast_signed());
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
            status = self.0.try_wait().expect("its status");
            status.is_some()
        });
        status.expect("it has ended")
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        // Both fail only for one that has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
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

fn load(cgroup: &Path, pins: &Path, run: &Path) -> Vec<String> {
    let [cgroup, pins, run] = [cgroup, pins, run].map(|path| path.display().to_string());
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
fn container(directory: &Directory, cgroup: &Cgroup, bpffs: &Bpffs) -> PathBuf {
    let (pins, seen) = (bpffs.pin_path(), seen_at(bpffs.path()));
    chown(bpffs.path(), Some(LOADER.user), Some(LOADER.group)).expect("the loader's");
    let loaded = directory.path().join("loaded");
    let run = Path::new("$run");
    let [pins, seen, loaded] = [&pins, &seen, &loaded].map(|path| path.display());
    let script = format!(
        "#!/bin/sh\nset -e\n\
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
        load = load(cgroup.path(), &bpffs.pin_path(), run).join(" "),
    );
    let path = directory.path().join("redirector");
    fs::write(&path, script).expect("a script");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("an executable script");
    path
}

/// The command line of the binary as that user.
fn words(user: User, capabilities: &[&str]) -> String {
    let command = user.command(&real(), capabilities);
    let all = [command.get_program()].into_iter().chain(command.get_args());
    all.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
