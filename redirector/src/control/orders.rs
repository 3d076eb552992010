//! The orders in force, kept in a file: a drain survives the agent.

use std::{
    fs,
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::Order;

/// A file with a JSON array of orders.
#[derive(Clone, Debug)]
pub struct Orders(PathBuf);

impl Orders {
    /// That file, whether or not it exists.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// What was in force last; nothing if there is no file.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is not what [`write`](Self::write) makes.
    pub fn read(&self) -> Result<Vec<Order>> {
        let bytes = match fs::read(&self.0) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            result => result.with_context(|| format!("cannot read {}", self.0.display()))?,
        };
        serde_json::from_slice(&bytes).with_context(|| {
            format!("{} holds no orders; remove it and order again", self.0.display())
        })
    }

    /// Keeps these. Whoever dies meanwhile leaves the old ones or the new ones.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn write(&self, orders: &[Order]) -> Result<()> {
        let beside = self.0.with_extension("new");
        let write = || -> Result<()> {
            let mut file = fs::File::create(&beside)?;
            file.write_all(&serde_json::to_vec_pretty(orders)?)?;
            file.sync_all()?;
            Ok(fs::rename(&beside, &self.0)?)
        };
        write().with_context(|| format!("cannot write {}", self.0.display()))
    }

    /// Removes the file, if there is one.
    ///
    /// # Errors
    ///
    /// It cannot be removed.
    pub fn remove(&self) -> Result<()> {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            result => result.with_context(|| format!("cannot remove {}", self.0.display())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_nothing_is_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        let orders = Orders::new(&directory.path().join("orders.json"));
        assert_eq!(orders.read().expect("nothing"), []);
        let order = Order::Drain("node=n9".parse().expect("a subject"));
        orders.write(std::slice::from_ref(&order)).expect("written");
        assert_eq!(orders.read().expect("one"), [order]);
        orders.write(&[]).expect("written");
        assert_eq!(orders.read().expect("none"), []);
        for _ in 0..2 {
            orders.remove().expect("removed, or not there");
            assert_eq!(fs::read_dir(directory.path()).expect("a directory").count(), 0);
        }
    }

    #[test]
    fn a_damaged_file_says_what_to_do() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("orders.json");
        fs::write(&path, "[{").expect("written");
        let error = format!("{:#}", Orders::new(&path).read().expect_err("damaged"));
        assert!(error.contains("remove it and order again"), "{error}");
    }
}
