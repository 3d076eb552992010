//! Stands in for `redirector` where tests look for it (`REDIRECTOR_BIN`), with least privilege.
//!
//! `agent` is loaded by a user who has nothing but the capabilities for that, and then runs, as every
//! other command does, as a second user who has none and can gain none. So whole suites run that way
//! without knowing of it. Called as root; the program itself is in `REDIRECTOR_UNPRIVILEGED_BIN`, or
//! beside this one. With `REDIRECTOR_WITHOUT_PERFMON` the loader does not have CAP_PERFMON.

use std::{
    env, fs,
    io::ErrorKind,
    os::unix::{fs::chown, process::CommandExt as _},
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, bail, ensure};
use redirector_tests::privileges::{AGENT, LOADER, LOADING, WITHOUT_PERFMON};

/// Flags of `load` that `agent` has too.
const OF_LOAD: &[&str] = &[
    "--pin-path",
    "--cgroup",
    "--run-dir",
    "--peer-name",
    "--max-frontends",
    "--max-services",
    "--max-backends",
    "--max-nodes",
    "--max-slots",
    "--max-seats",
];

fn main() -> Result<ExitCode> {
    let program = match env::var_os("REDIRECTOR_UNPRIVILEGED_BIN") {
        Some(program) => program.into(),
        None => {
            env::current_exe().context("this program has no path")?.with_file_name("redirector")
        }
    };
    let arguments: Vec<String> = env::args().skip(1).collect();
    let capabilities = match env::var_os("REDIRECTOR_WITHOUT_PERFMON") {
        Some(_) => WITHOUT_PERFMON,
        None => LOADING,
    };
    match arguments.first().map(String::as_str) {
        Some("agent") => {
            let mut load = LOADER.command(&program, capabilities);
            load.arg("load").args(of_load(&arguments)).arg("--owner").arg(LOADER.owner());
            prepare(&arguments)?;
            let status = load.status().context("cannot run setpriv")?;
            ensure!(status.success(), "load as user {}: {status}", LOADER.user);
        }
        Some("load") => {
            prepare(&arguments)?;
            let owner = ["--owner".to_owned(), LOADER.owner()];
            return become_(LOADER.command(&program, capabilities).args(arguments).args(owner));
        }
        _ => {}
    }
    become_(AGENT.command(&program, &[]).args(arguments))
}

/// What an administrator has made ready: the place for the pins, and the directory above the run
/// directory, belong to the loader.
fn prepare(arguments: &[String]) -> Result<()> {
    for flag in ["--pin-path", "--run-dir"] {
        let Some(path) = value(arguments, flag).map(Path::new) else { continue };
        let parent = path.parent().context("a directory below the root")?;
        chown(parent, Some(LOADER.user), Some(LOADER.group))
            .with_context(|| format!("cannot give {} away", parent.display()))?;
        // Others may go through, not look.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o711);
        fs::set_permissions(parent, mode)
            .with_context(|| format!("cannot open {}", parent.display()))?;
        // One that root has loaded into before: a suite may do that.
        match chown(path, Some(LOADER.user), Some(LOADER.group)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                bail!("cannot give {} away: {error}", path.display())
            }
            _ => {}
        }
    }
    Ok(())
}

fn of_load(arguments: &[String]) -> impl Iterator<Item = &String> {
    OF_LOAD.iter().flat_map(|flag| {
        let at = arguments.iter().position(|argument| argument == flag);
        at.map_or(&[][..], |at| &arguments[at..(at + 2).min(arguments.len())])
    })
}

fn value<'a>(arguments: &'a [String], flag: &str) -> Option<&'a str> {
    let at = arguments.iter().position(|argument| argument == flag)?;
    arguments.get(at + 1).map(String::as_str)
}

/// Goes on as this program, with the same process id.
fn become_(command: &mut Command) -> Result<ExitCode> {
    Err(command.exec()).context("cannot run setpriv")
}
