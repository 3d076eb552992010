//! Asks `bpftool`: what an operator sees, by eyes that are not ours.

use std::{
    ffi::{OsStr, OsString},
    path::Path,
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

/// The JSON that `bpftool -j …` prints; null for nothing. Fails with what it complains about.
pub fn json(arguments: &[&OsStr]) -> Result<Value> {
    let output = Command::new("bpftool")
        .arg("-j")
        .args(arguments)
        .output()
        .context("cannot run bpftool (Debian package bpftool)")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "bpftool {arguments:?}: {text}{errors}");
    let text = if text.trim().is_empty() { "null" } else { &text };
    serde_json::from_str(text).with_context(|| format!("bpftool {arguments:?}: {text:?}"))
}

/// The same for words that end with a path.
pub fn json_of(words: &[&str], path: &Path) -> Result<Value> {
    let words: Vec<_> = words.iter().map(OsStr::new).chain([path.as_os_str()]).collect();
    json(&words)
}

/// The programs that are attached to a cgroup.
pub fn attached(cgroup: &Path) -> Result<Vec<Value>> {
    match json_of(&["cgroup", "show"], cgroup)? {
        Value::Array(programs) => Ok(programs),
        Value::Null => Ok(Vec::new()),
        other => bail!("no list of programs: {other}"),
    }
}

/// The entries of a pinned map, keys and values by the names of their fields.
pub fn dump(pin: &Path) -> Result<Vec<Value>> {
    let value = json_of(&["map", "dump", "pinned"], pin)?;
    let Value::Array(entries) = value else { bail!("no list of entries: {value}") };
    // With type information each entry also has its raw bytes, beside the fields.
    let formatted = |entry: Value| entry.get("formatted").cloned().unwrap_or(entry);
    Ok(entries.into_iter().map(formatted).collect())
}

/// The bytes of one value of a pinned map.
pub fn lookup(pin: &Path, key: &[u8]) -> Result<Vec<u8>> {
    let mut arguments = on_entry("lookup", pin);
    arguments.extend(hex(key));
    let arguments: Vec<_> = arguments.iter().map(OsString::as_os_str).collect();
    let value = json(&arguments)?;
    let bytes = value["value"].as_array().with_context(|| format!("no bytes: {value}"))?;
    let byte = |text: &Value| u8::from_str_radix(text.as_str()?.strip_prefix("0x")?, 16).ok();
    bytes.iter().map(byte).collect::<Option<_>>().with_context(|| format!("no bytes: {value}"))
}

/// Stores one value of a pinned map.
pub fn update(pin: &Path, key: &[u8], value: &[u8]) -> Result<()> {
    let mut arguments = on_entry("update", pin);
    arguments.extend(hex(key));
    arguments.extend(["value", "hex"].map(OsString::from));
    arguments.extend(hex(value));
    let arguments: Vec<_> = arguments.iter().map(OsString::as_os_str).collect();
    json(&arguments).map(drop)
}

fn on_entry(verb: &str, pin: &Path) -> Vec<OsString> {
    let mut arguments = vec!["map".into(), verb.into(), "pinned".into(), pin.into()];
    arguments.extend(["key", "hex"].map(OsString::from));
    arguments
}

fn hex(bytes: &[u8]) -> impl Iterator<Item = OsString> {
    bytes.iter().map(|byte| format!("{byte:02x}").into())
}
