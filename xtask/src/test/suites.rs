//! Which suites there are and how each is run.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
    thread,
    time::Instant,
};

use anyhow::{Context as _, Result, bail};

use super::{earlier::Earlier, outcome::Outcome};
use crate::workspace;

/// The one test binary of the tests crate: each would link the whole product. Its folder holds a file
/// or a folder for each suite.
const BINARY: &str = "suites";

/// Suites whose tests may run side by side. The tests of others share what there is one of in a suite,
/// or the two cores that a load test wants.
const PARALLEL: &[&str] =
    &["crashes", "unit", "kernels", "listeners", "lost", "passive", "tenants"];

/// Suites about real sockets, whose agents may as well be without privileges. Of the others some start
/// no agent, `exchange` loads in its own process, `inspect` expects the pins of root's agents, and
/// resets take capabilities.
const UNPRIVILEGED: &[&str] = &[
    "agent_guard",
    "listeners",
    "loads",
    "operator",
    "passive",
    "privileges",
    "restart",
    "sockets",
];

/// Who runs the agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Agents {
    OfRoot,
    /// `tests/src/bin/unprivileged.rs` runs them, without privileges.
    Unprivileged,
}

/// How all suites are run.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) agents: Agents,
    pub(super) is_full: bool,
    /// What upgrades are tested from, where that is wanted.
    pub(super) earlier: Option<Earlier>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Suite {
    /// Libraries, binaries and examples in the documentation of every crate but the tests crate.
    Unit,
    /// A module of the binary [`BINARY`], by its name.
    Integration(String),
}

#[derive(Debug, Default)]
struct Output {
    all: String,
    /// What is to be shown at the end.
    shown: String,
    /// What is to be shown if something failed.
    hidden: String,
}

/// The unit tests, then the suites by name.
pub(super) fn all() -> Result<Vec<Suite>> {
    let dir = directory();
    let mut names = Vec::new();
    for entry in fs::read_dir(&dir).with_context(|| format!("cannot list {}", dir.display()))? {
        names.extend(name_of(&entry?.path()));
    }
    names.sort();
    Ok([Suite::Unit].into_iter().chain(names.into_iter().map(Suite::Integration)).collect())
}

/// The suites with these names, in the order in which they always run; when none is named, all that
/// can run with these agents.
pub(super) fn select(names: &[String], agents: Agents) -> Result<Vec<Suite>> {
    let mut all = all()?;
    if agents == Agents::Unprivileged {
        all.retain(|suite| UNPRIVILEGED.contains(&suite.name()));
    }
    if let Some(unknown) = names.iter().find(|name| !all.iter().any(|suite| suite.name() == **name))
    {
        let known: Vec<_> = all.iter().map(Suite::name).collect();
        bail!("there is no suite \"{unknown}\"; there are: {}", known.join(", "));
    }
    let is_wanted = |suite: &Suite| names.is_empty() || names.iter().any(|n| n == suite.name());
    Ok(all.into_iter().filter(is_wanted).collect())
}

impl Suite {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Unit => "unit",
            Self::Integration(name) => name,
        }
    }

    /// The first line of the file, which says what it is about.
    pub(super) fn about(&self) -> String {
        let Self::Integration(name) = self else {
            return "The tests inside the crates, and the examples in their documentation.".into();
        };
        let dir = directory();
        let source = fs::read_to_string(dir.join(format!("{name}.rs")))
            .or_else(|_| fs::read_to_string(dir.join(name).join("mod.rs")))
            .unwrap_or_default();
        source.lines().next().and_then(|line| line.strip_prefix("//! ")).unwrap_or("").to_owned()
    }

    /// Runs the suite to its end. What tests print is shown as it comes if nothing runs beside it,
    /// else at its end; the rest, such as the noise of compilers and agents on stderr, only when
    /// something failed.
    pub(super) fn run(&self, run: &Run, is_alone: bool) -> Result<Outcome> {
        let Run { agents, is_full, earlier } = run;
        let start = Instant::now();
        let mut cargo = cargo_test();
        cargo.args(self.selection());
        if *is_full {
            // `tests/src/size.rs` and `programs.rs` read these.
            cargo
                .env("REDIRECTOR_FULL", "1")
                .env("REDIRECTOR_BIN", workspace::redirector_binary(true));
        }
        if let Some((name, value)) = earlier.as_ref().map(Earlier::variable) {
            cargo.env(name, value);
        }
        if *agents == Agents::Unprivileged {
            // Cargo has built it with the suite.
            cargo
                .env("REDIRECTOR_BIN", workspace::target().join("debug/unprivileged"))
                .env("REDIRECTOR_UNPRIVILEGED_BIN", workspace::redirector_binary(*is_full));
        }
        cargo.args(["--no-fail-fast", "--", "--show-output"]).args(self.filter());
        if !PARALLEL.contains(&self.name()) {
            cargo.arg("--test-threads=1");
        }
        let (is_success, Output { all, shown, hidden }) = self.follow(&mut cargo, is_alone)?;
        if !is_alone {
            // One call prints all: lines of other suites do not come between.
            println!("\n== {}\n{shown}", self.name());
        }
        let outcome = Outcome::new(self.name(), &all, is_success, start.elapsed());
        let log = self.keep(&all)?;
        if !is_success {
            println!("{}", hidden.trim_end());
            println!("== {} failed; all its output is in {}", self.name(), log.display());
        }
        Ok(outcome)
    }

    /// Runs `command` and collects the lines of both its outputs.
    fn follow(&self, command: &mut Command, is_alone: bool) -> Result<(bool, Output)> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run the suite {}", self.name()))?;
        let output = Mutex::new(Output::default());
        let keep = |line: &str, is_shown: bool| {
            let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
            output.all.extend([line, "\n"]);
            match (is_shown, is_alone) {
                (true, true) => println!("{line}"),
                (true, false) => output.shown.extend([line, "\n"]),
                (false, _) => output.hidden.extend([line, "\n"]),
            }
        };
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        thread::scope(|scope| {
            scope.spawn(|| lines(stderr, |line| keep(line, false)));
            lines(stdout, |line| keep(line, self.shows_stdout()));
        });
        let status = child.wait().context("cannot wait for a suite")?;
        Ok((status.success(), output.into_inner().unwrap_or_else(PoisonError::into_inner)))
    }

    fn keep(&self, output: &str) -> Result<PathBuf> {
        let dir = workspace::target().join("test-logs");
        let log = dir.join(format!("{}.log", self.name()));
        fs::create_dir_all(&dir)
            .and_then(|()| fs::write(&log, output))
            .with_context(|| format!("cannot write {}", log.display()))?;
        Ok(log)
    }

    /// Unit tests are too many to be shown; the table has their number.
    fn shows_stdout(&self) -> bool {
        *self != Self::Unit
    }

    /// Arguments of `cargo test`.
    fn selection(&self) -> Vec<&str> {
        match self {
            Self::Unit => vec!["--workspace", "--exclude", "redirector-tests"],
            Self::Integration(_) => vec!["--package", "redirector-tests", "--test", BINARY],
        }
    }

    /// What the names of its tests have in common, and no others. libtest looks for it anywhere in a
    /// name.
    fn filter(&self) -> Option<String> {
        match self {
            Self::Unit => None,
            Self::Integration(name) => Some(format!("{name}::")),
        }
    }
}

fn cargo_test() -> Command {
    let mut cargo = workspace::cargo(["test"]);
    cargo.env("REDIRECTOR_BPF_OBJECT", workspace::bpf_object());
    cargo
}

fn directory() -> PathBuf {
    workspace::root().join("tests/tests").join(BINARY)
}

/// The suite in a file or folder.
fn name_of(path: &Path) -> Option<String> {
    let name = path.file_stem()?.to_string_lossy().into_owned();
    let is_suite = if path.is_dir() {
        path.join("mod.rs").is_file() && name != "common"
    } else {
        path.extension().is_some_and(|extension| extension == "rs") && name != "main"
    };
    is_suite.then_some(name)
}

/// Calls `each` with every line until the writers have closed their end.
fn lines(source: Option<impl Read>, mut each: impl FnMut(&str)) {
    let Some(source) = source else { return };
    for line in BufReader::new(source).split(b'\n') {
        let Ok(line) = line else { return };
        each(&String::from_utf8_lossy(&line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_module_below_a_suite_is_called_as_a_suite() {
        let all = all().expect("the suites");
        let is_suite = |name: &str| all.iter().any(|suite| suite.name() == name);
        for suite in &all {
            let folder = directory().join(suite.name());
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let name = entry.path().file_stem().expect("a name").to_string_lossy().into_owned();
                assert!(!is_suite(&name), "{}: its tests would run with {name}", suite.name());
            }
        }
    }
}
