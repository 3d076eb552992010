//! Runs other programs and turns their failures into errors that name the command.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

/// Runs `command` with our own output. An exit code other than 0 is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run `{}`", words(command)))?;
    if !status.success() {
        bail!("`{}` failed: {status}", words(command));
    }
    Ok(())
}

/// Says which command it runs, then does.
pub(crate) fn announce_and_run(command: &mut Command) -> Result<()> {
    println!("+ {}", shown(command));
    run(command)
}

/// What `command` prints on stdout; None if it cannot run or fails.
pub(crate) fn stdout_of(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The command as it would be typed into a shell, with the environment it needs.
pub(crate) fn shown(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(name, value)| {
        Some(format!("{}={} ", name.to_string_lossy(), quoted(value?)))
    });
    variables.chain([words(command)]).collect()
}

/// The program and its arguments.
fn words(command: &Command) -> String {
    let program = command.get_program();
    // A bare name reads better where a shell would find a program by it.
    let name = Path::new(program).file_name().filter(|name| find(name).is_some());
    let words = [name.unwrap_or(program)].into_iter().chain(command.get_args());
    words.map(quoted).collect::<Vec<_>>().join(" ")
}

/// The program's path.
pub(crate) fn find(program: impl AsRef<Path>) -> Option<PathBuf> {
    path().into_iter().map(|dir| dir.join(&program)).find(|candidate| candidate.is_file())
}

/// PATH, and where Debian keeps an administrator's programs (`su` without `-` leaves them out).
pub(crate) fn path() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).collect()
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%^".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
