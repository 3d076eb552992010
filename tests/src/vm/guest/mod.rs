//! What happens inside a guest: set up, load the real object, dial through it, report, power off.

mod client;
mod counters;
mod dial;
mod failing;
mod health;
mod machine;
mod redirector;
mod replicas;

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::process::{self, Command};

use anyhow::{Context, Result, ensure};

use self::client::Phase;
use super::report::{Check, Line};
use crate::replica;

/// Mount points and parents; an initramfs has nothing by itself.
pub(super) const DIRECTORIES: [&str; 5] = ["dev", "modules", "proc", "sys", "tmp"];

/// The static files that the agent inside runs with, one after the other, and their paths.
pub(super) const CONFIGS: [(&str, &str); 2] =
    [(CONFIG_PATH, include_str!("config.yaml")), (failing::CONFIG_PATH, failing::CONFIG)];

const CONFIG_PATH: &str = "/config.yaml";

/// What the programs are attached to, and where nothing is redirected.
const CGROUP: &str = "/sys/fs/cgroup/test";
const ROOT_CGROUP: &str = "/sys/fs/cgroup";
const PIN_PATH: &str = "/sys/fs/bpf/redirector";

/// Process 1, or with an `argument` one of those that it starts: the client of a phase, by its
/// name, the one that makes backends fail, or a replica.
pub fn run(argument: Option<&str>) -> Result<()> {
    let Some(name) = argument else { return run_init() };
    if name == failing::ROLE {
        return failing::run();
    }
    if let Some(address) = name.strip_prefix(failing::REPLICA) {
        // Its address is its name as well.
        return replica::serve([address, address].map(str::to_owned).into_iter());
    }
    client::run(Phase::named(name).with_context(|| format!("there is no phase {name:?}"))?)
}

/// Whatever goes wrong becomes a failed check: the host shows it, and the guest ends.
fn run_init() -> Result<()> {
    ensure!(process::id() == 1, "this is the init of a test guest; it must be process 1");
    machine::mount_all()?;
    let mut report = Reporter::open()?;
    report.line(&Line::Kernel { release: machine::kernel_release()? })?;
    let outcome = check_everything(&mut report);
    report.check("the guest reached its end", outcome)?;
    report.line(&Line::End { seconds_since_boot: machine::seconds_since_boot()? })?;
    machine::power_off();
    Ok(())
}

fn check_everything(report: &mut Reporter) -> Result<()> {
    report.check("check misses the modules that resets need", misses_resets())?;
    machine::load_modules()?;
    machine::bring_loopback_up()?;
    replicas::serve()?;
    fs::create_dir(CGROUP).context("cannot make a cgroup")?;
    for (program, processed) in redirector::load()? {
        report.line(&Line::Instructions { program, processed })?;
    }
    let agent = redirector::Agent::start(CONFIG_PATH)?;
    run_client(Phase::AgentRunning)?;
    report.check("the agent logged no error", agent.kill())?;
    run_client(Phase::AgentDead)?;
    failing::start()?;
    report.check("an unload leaves no pin", redirector::unload())?;
    run_client(Phase::Unloaded)
}

/// Until modules are loaded this is a kernel without `CONFIG_INET_DIAG_DESTROY`; with them the
/// steps of `failing` show whether the same finding is right.
fn misses_resets() -> Result<()> {
    let findings = redirector::check()?;
    let resets = findings.iter().find(|finding| finding.what == "resets");
    let resets = resets.context("it says nothing about resets")?;
    ensure!(resets.verdict == "degraded", "it says: {resets:?}");
    Ok(())
}

/// Runs the client of a phase, until it has reported all that it has to.
fn run_client(phase: Phase) -> Result<()> {
    let name = phase.name();
    let status = Command::new("/init").arg(name).status().context("cannot run the client")?;
    ensure!(status.success(), "the client of phase {name} ended with {status}");
    Ok(())
}

/// The second serial port: no message of the kernel can end up inside a line there.
#[derive(Debug)]
struct Reporter {
    port: File,
}

impl Reporter {
    fn open() -> Result<Self> {
        let port = OpenOptions::new().write(true).open("/dev/ttyS1");
        Ok(Self { port: port.context("cannot open the second serial port")? })
    }

    fn check(&mut self, name: &str, outcome: Result<()>) -> Result<()> {
        let failure = outcome.err().map(|error| format!("{error:#}"));
        self.line(&Line::Check(Check { name: name.to_owned(), failure }))
    }

    fn line(&mut self, line: &Line) -> Result<()> {
        let mut text = serde_json::to_string(line).context("a line that is not JSON")?;
        text.push('\n');
        self.port.write_all(text.as_bytes()).context("cannot write to the serial port")
    }
}
