//! Names of services that are longer than the kernel's map of names has room for: kept beside the
//! orders, so that what reads the maps can say them in full, with an agent and without.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use redirector_common::ServiceName;
use tracing::warn;

use super::{clear, kept};

/// A file with a JSON array of names.
#[derive(Clone, Debug)]
pub struct LongNames(PathBuf);

impl LongNames {
    /// That file, whether or not it exists.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Whether a name belongs there.
    #[must_use]
    pub fn is_long(name: &str) -> bool {
        ServiceName::new(name).as_str() != name
    }

    /// What was kept last, for the agent that will write the file from now on: half a file of one that
    /// was killed goes.
    #[must_use]
    pub fn take_over(&self) -> BTreeSet<String> {
        if let Err(error) = clear(&self.beside()) {
            warn!(%error, "what an agent that was killed has left beside its long names stays");
        }
        self.read()
    }

    /// What was kept last; nothing if there is no file, or no readable one: then names stay cut.
    #[must_use]
    pub fn read(&self) -> BTreeSet<String> {
        let bytes = fs::read(&self.0).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// Keeps these instead.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn write(&self, names: &BTreeSet<String>) -> Result<()> {
        let written = if names.is_empty() {
            clear(&self.0).map_err(Into::into)
        } else {
            kept::replace(&self.0, &self.beside(), names)
        };
        written.with_context(|| format!("cannot write {}", self.0.display()))
    }

    /// Where a new file is until it is whole.
    fn beside(&self) -> PathBuf {
        self.0.with_file_name(".names.json.new")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_and_the_last_one_takes_the_file_with_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let kept = LongNames::new(&directory.path().join("names.json"));
        assert_eq!(kept.read(), BTreeSet::new());
        let names = BTreeSet::from(["n".repeat(65)]);
        kept.write(&names).expect("written");
        assert_eq!(kept.read(), names);
        let half = directory.path().join(".names.json.new");
        fs::write(&half, "[").expect("written");
        assert_eq!(kept.take_over(), names);
        assert!(!half.exists());
        for _ in 0..2 {
            kept.write(&BTreeSet::new()).expect("removed, or not there");
            assert_eq!(fs::read_dir(directory.path()).expect("a directory").count(), 0);
        }
        assert!(LongNames::is_long(&"n".repeat(65)) && !LongNames::is_long(&"n".repeat(64)));
    }
}
