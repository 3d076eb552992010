//! Where the helper programs are: what a guard starts as a process of its own.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::OnceLock,
};

use anyhow::{Context as _, Result, bail};

use crate::{crash, dialer, replica, script, server, tenant};

/// A part that a child process plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Crasher,
    Dialer,
    Replica,
    Scripter,
    Server,
    Tenant,
}

impl Role {
    const ALL: [Self; 6] =
        [Self::Crasher, Self::Dialer, Self::Replica, Self::Scripter, Self::Server, Self::Tenant];

    /// Name of the subcommand.
    fn name(self) -> &'static str {
        match self {
            Self::Crasher => "crasher",
            Self::Dialer => "dialer",
            Self::Replica => "replica",
            Self::Scripter => "scripter",
            Self::Server => "server",
            Self::Tenant => "tenant",
        }
    }
}

/// Plays the role that the first argument names, with the other ones.
pub fn play(mut arguments: impl Iterator<Item = String>) -> Result<ExitCode> {
    let name = arguments.next().context("usage: helper ROLE ARGUMENT…")?;
    let role = Role::ALL.into_iter().find(|role| role.name() == name);
    match role.with_context(|| format!("there is no role {name}"))? {
        Role::Crasher => return crash::trace(arguments),
        Role::Dialer => dialer::serve(),
        Role::Replica => replica::serve(arguments),
        Role::Scripter => script::serve(),
        Role::Server => server::serve(arguments),
        Role::Tenant => tenant::serve(),
    }
    .map(|()| ExitCode::SUCCESS)
}

static OWN_SUBCOMMANDS: OnceLock<()> = OnceLock::new();

/// Declares that this executable plays the roles itself, when called with the role's name as its
/// first argument. Without, `helper` is looked for beside the executable.
pub fn are_own_subcommands() {
    OWN_SUBCOMMANDS.get_or_init(|| ());
}

/// The command that plays `role`.
pub(crate) fn command(role: Role) -> Result<Command> {
    let mut command = match OWN_SUBCOMMANDS.get() {
        // The link, not its target: that stays the same program when it is built anew.
        Some(()) => Command::new("/proc/self/exe"),
        None => Command::new(beside_this_test("helper")?),
    };
    command.arg(role.name());
    Ok(command)
}

/// The `redirector` to test: `REDIRECTOR_BIN`, or the one that cargo built last for this profile.
pub fn redirector() -> Result<PathBuf> {
    match env::var_os("REDIRECTOR_BIN") {
        Some(path) => Ok(path.into()),
        None => beside_this_test("redirector")
            .context("build it with `cargo xtask build`, or set REDIRECTOR_BIN"),
    }
}

/// What xtask has made of an earlier commit.
#[derive(Debug, Clone)]
pub struct Earlier {
    directory: PathBuf,
}

impl Earlier {
    /// `REDIRECTOR_EARLIER`, or why there is none.
    pub fn find() -> Result<Self, String> {
        let why = || env::var("REDIRECTOR_NO_EARLIER").ok();
        match env::var_os("REDIRECTOR_EARLIER") {
            Some(directory) => Ok(Self { directory: directory.into() }),
            None => Err(why().unwrap_or_else(|| "`cargo xtask test --full` builds it".to_owned())),
        }
    }

    /// Its `redirector`.
    #[must_use]
    pub fn binary(&self) -> PathBuf {
        self.directory.join("redirector")
    }

    /// A file of its repository.
    #[must_use]
    pub fn file(&self, path: &str) -> PathBuf {
        self.directory.join("source").join(path)
    }
}

/// The first process of a guest, see `crate::vm`.
pub(crate) fn vm_init() -> Result<PathBuf> {
    beside_this_test("vm-init")
}

/// Cargo puts a test into `<target>/<profile>/deps` and programs one up.
fn beside_this_test(name: &str) -> Result<PathBuf> {
    let this = env::current_exe().context("cannot find the path of this program")?;
    let candidates = this.ancestors().skip(1).take(2).map(|directory| directory.join(name));
    match candidates.into_iter().find(|path| path.is_file()) {
        Some(path) => Ok(path),
        None => {
            bail!("there is no {name} beside {}", this.parent().unwrap_or(Path::new("/")).display())
        }
    }
}
