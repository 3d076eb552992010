//! Backends that fail while real sockets are connected to them: what the kernel, and with it the
//! agent, does by itself. Each step is a statement with what was measured.

mod agentless;
mod death;
mod fixture;
mod hole;
mod probed;
mod refused;
mod reset;
mod server;
mod socket;

use anyhow::{Context, Result, ensure};

use self::fixture::Fixture;
use super::Reporter;
use crate::vm::report::{Line, Outcome, Step};

/// The file that the agent runs with meanwhile.
pub(super) const CONFIG: &str = include_str!("config.yaml");
pub(super) const CONFIG_PATH: &str = "/failing.yaml";

/// What the process that runs the steps is called with.
pub(super) const ROLE: &str = "failing";
/// What a replica in a process of its own is called with, before its address.
pub(super) const REPLICA: &str = "replica ";

/// What a step has seen.
type Seen = Result<(Outcome, String)>;

/// A step; [`Step::finding`] and the work.
type Do = fn(&mut Fixture) -> Seen;

/// In this order: first with the agent alive, then with it stopped, at last without it.
const STEPS: [(&str, Option<&str>, Do); 12] = [
    ("a service without backends answers ECONNREFUSED", Some("refusals"), refused::nobody),
    (
        "connections to a backend that fell silent are reset, others are not",
        Some("resets"),
        reset::a_silent_backend,
    ),
    ("with an agent only a probe re-admits", None, probed::only_a_probe_readmits),
    (
        "3 refused connects move their client through every service, the agent stopped",
        Some("failing connects"),
        refused::three_refusals,
    ),
    (
        "3 more from another network eject, the agent stopped",
        Some("witnesses"),
        refused::two_networks,
    ),
    (
        "swallowed connects take 1 s and move their client, the agent stopped",
        Some("bounded connect"),
        hole::default_policy,
    ),
    ("connectTimeout 300ms bounds a swallowed connect", Some("bounded connect"), hole::short_limit),
    (
        "5 unanswered connects move their client without the limits of refusals",
        None,
        hole::unanswered_alone,
    ),
    ("an application's TCP_USER_TIMEOUT stays its own", None, hole::user_timeout),
    (
        "a local listener's death ejects before any connect fails",
        Some("local listeners"),
        death::kill_nine,
    ),
    ("a new local listener re-admits at once", Some("local listeners"), death::comes_back),
    ("without an agent one connect at a time tries what is avoided", None, agentless::tries),
];

/// Does everything, in a process of its own, whose sockets are redirected.
pub(super) fn run() -> Result<()> {
    let mut report = Reporter::open()?;
    for finding in super::redirector::check()? {
        report.line(&Line::Finding(finding))?;
    }
    let mut fixture = Fixture::new()?;
    for (name, finding, work) in STEPS {
        let (outcome, saw) =
            work(&mut fixture).unwrap_or_else(|error| (Outcome::Failed, format!("{error:#}")));
        let (name, finding) = (name.to_owned(), finding.map(str::to_owned));
        report.line(&Line::Step(Step { name, finding, outcome, saw }))?;
    }
    report.check("the agent logged no error while backends failed", fixture.finish())
}

/// Starts the process that runs the steps, and waits for its end.
pub(super) fn start() -> Result<()> {
    let status = std::process::Command::new("/init").arg(ROLE).status();
    let status = status.context("cannot run the steps")?;
    ensure!(status.success(), "the process that runs the steps ended with {status}");
    Ok(())
}
