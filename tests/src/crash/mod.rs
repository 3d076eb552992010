//! Ends a process before its N-th call that changes something outside of it: a pin, a program's
//! attachment, an entry of a map, a file or a directory.
//!
//! The guard's half says which call; the process `crasher` traces the program and kills it. `strace`
//! can inject a signal as well, but counts for each thread, and all calls of `bpf` alike: most of
//! them change nothing that is there when the process has ended.

mod calls;
mod trace;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use anyhow::{Context as _, Result};
use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};

pub use trace::trace;

use crate::{
    names::Directory,
    programs::{self, Role},
};

/// How the process `crasher` ends when it has killed the program.
pub const CRASHED: i32 = 137;
/// How many calls are left, the last of which is not made; no file, or an empty one, is no end.
const LEFT: &str = "left";
/// The program's process id.
const PROGRAM: &str = "program";
/// A line for each call.
const CALLS: &str = "calls";

/// Runs programs and ends them.
#[derive(Debug, Clone)]
pub struct Crasher(Arc<Directory>);

impl Crasher {
    /// A crasher that ends nothing yet.
    pub fn new() -> Result<Self> {
        Ok(Self(Arc::new(Directory::new("crasher")?)))
    }

    /// The command that runs `program` with the arguments that are added. A SIGTERM is passed on.
    pub fn command(&self, program: &Path) -> Result<Command> {
        let mut command = programs::command(Role::Crasher)?;
        command.arg(self.0.path()).arg(program);
        Ok(command)
    }

    /// From now on the program's `number`-th call, counted from 1, is not made; the program is
    /// killed instead. `None` is never. Also while it runs.
    pub fn set_end(&self, number: Option<usize>) -> Result<()> {
        fs::write(self.file(CALLS), "").context("cannot forget the calls")?;
        let text = number.map(|number| number.to_string()).unwrap_or_default();
        write(&self.file(LEFT), &text)
    }

    /// The calls since then, in order; the last one was not made if the program was killed.
    pub fn calls(&self) -> Result<Vec<String>> {
        let text = fs::read_to_string(self.file(CALLS)).context("cannot read the calls")?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// Kills the program at once. Its crasher ends when all of it has ended.
    pub fn kill(&self) -> Result<()> {
        let text = fs::read_to_string(self.file(PROGRAM)).context("it runs no program")?;
        let program = Pid::from_raw(text.parse().context("no process id")?);
        match kill(program, Signal::SIGKILL) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(error) => Err(error).context("cannot kill the program"),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// Replaces a file as a whole: no reader sees a part of it.
fn write(path: &Path, text: &str) -> Result<()> {
    let beside = path.with_extension("new");
    fs::write(&beside, text)
        .and_then(|()| fs::rename(&beside, path))
        .with_context(|| format!("cannot write {}", path.display()))
}
