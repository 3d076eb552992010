//! The files that a client needs: kubeconfig, CA, token. Replaced at once, as kubelet does.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::place::Place;

/// Writes `kubeconfig`, `ca.crt` and `token` into `directory`. JSON is YAML.
pub(super) fn write(directory: &Path, url: &str, ca: Option<&str>, token: &str) -> Result<()> {
    let mut cluster = json!({"server": url});
    if ca.is_some() {
        cluster["certificate-authority"] = json!(directory.join("ca.crt"));
    }
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "fake",
        "clusters": [{"name": "fake", "cluster": cluster}],
        "contexts": [{"name": "fake",
                      "context": {"cluster": "fake", "user": "fake", "namespace": "default"}}],
        "users": [{"name": "fake", "user": {"token": token}}],
    });
    for (name, text) in [
        ("ca.crt", ca.unwrap_or_default()),
        ("token", token),
        ("kubeconfig", kubeconfig.to_string().as_str()),
    ] {
        let (new, path) = (directory.join(format!(".{name}")), directory.join(name));
        fs::write(&new, text).with_context(|| format!("cannot write {}", new.display()))?;
        fs::rename(&new, &path).with_context(|| format!("cannot replace {}", path.display()))?;
    }
    Ok(())
}

/// How kubectl ends at that server, with what it is given on stdin; it keeps what it remembers in
/// `cache`.
pub fn kubectl(
    kubeconfig: &Path,
    cache: &Path,
    place: Place<'_>,
    arguments: &[&str],
    input: &str,
) -> Result<Output> {
    let mut kubectl = Command::new("kubectl");
    kubectl.arg("--kubeconfig").arg(kubeconfig).arg("--cache-dir").arg(cache).args(arguments);
    kubectl.env_remove("KUBECONFIG");
    kubectl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut kubectl = place.spawn(kubectl)?;
    if let Some(mut stdin) = kubectl.stdin.take() {
        // It may end without reading; then its error says more.
        let _ = stdin.write_all(input.as_bytes());
    }
    kubectl.wait_with_output().context("cannot wait for kubectl")
}
