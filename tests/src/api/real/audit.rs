//! What the server wrote down of one user's LISTs.

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// The audit log; the server appends a line when it has answered.
#[derive(Debug)]
pub(super) struct Audit {
    path: PathBuf,
    /// How many bytes of the log have been forgotten.
    from: AtomicUsize,
}

/// What `--audit-policy-file` wants.
pub(super) fn policy(user: &str) -> Value {
    json!({
        "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
        "rules": [{"level": "Metadata", "users": [user], "verbs": ["list"]}, {"level": "None"}],
    })
}

impl Audit {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, from: AtomicUsize::new(0) }
    }

    /// LISTs of a resource that were answered by objects; each page is one.
    pub(super) fn lists(&self, resource: &str) -> Result<usize> {
        let text = self.text()?;
        let mut count = 0;
        for line in text[self.from.load(Relaxed).min(text.len())..].lines() {
            let event: Value = serde_json::from_str(line).context("a line of the audit log")?;
            let is_it = event["objectRef"]["resource"] == resource;
            count += usize::from(is_it && event["responseStatus"]["code"] == 200);
        }
        Ok(count)
    }

    pub(super) fn forget(&self) -> Result<()> {
        self.from.store(self.text()?.len(), Relaxed);
        Ok(())
    }

    fn text(&self) -> Result<String> {
        fs::read_to_string(&self.path)
            .with_context(|| format!("cannot read {}", self.path.display()))
    }
}
