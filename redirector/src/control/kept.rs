//! Files that outlive the agent: replaced as a whole, never through a link.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use anyhow::Result;
use serde::Serialize;

use super::clear;

/// Keeps that as JSON at `path`, for its owner alone. An agent that dies meanwhile leaves what was
/// there, or this; and perhaps a part of this at `beside`, in the same directory. What can be found out
/// again: the power may take it.
pub(super) fn replace(path: &Path, beside: &Path, what: &impl Serialize) -> Result<()> {
    write(beside, what)?;
    Ok(fs::rename(beside, path)?)
}

/// The same, of what is kept when the power fails, too.
pub(super) fn replace_durably(path: &Path, beside: &Path, what: &impl Serialize) -> Result<()> {
    write(beside, what)?.sync_all()?;
    fs::rename(beside, path)?;
    // Without this the new name may be lost with the power.
    Ok(File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()?)
}

fn write(beside: &Path, what: &impl Serialize) -> Result<File> {
    clear(beside)?;
    // `create_new` is O_EXCL, which follows no symbolic link.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside)?;
    file.write_all(&serde_json::to_vec_pretty(what)?)?;
    Ok(file)
}
