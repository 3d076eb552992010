//! Tar archives that are the same whenever and by whomever they are made.

use anyhow::{Context as _, Result};
use tar::{Builder, EntryType, Header};

/// An archive in memory. All that is in it belongs to root and is from 1970.
pub(super) struct Archive(Builder<Vec<u8>>);

impl Archive {
    pub(super) fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    /// Adds a file, or, where the path ends with a slash, a directory.
    pub(super) fn add(&mut self, path: &str, mode: u32, contents: &[u8]) -> Result<()> {
        let kind = if path.ends_with('/') { EntryType::Directory } else { EntryType::Regular };
        let mut header = header(kind, mode, contents.len() as u64);
        let done = self.0.append_data(&mut header, path, contents);
        done.with_context(|| format!("cannot archive {path}"))
    }

    pub(super) fn symlink(&mut self, path: &str, to: &str) -> Result<()> {
        let mut header = header(EntryType::Symlink, 0o777, 0);
        let done = self.0.append_link(&mut header, path, to);
        done.with_context(|| format!("cannot archive {path}"))
    }

    pub(super) fn finish(self) -> Result<Vec<u8>> {
        self.0.into_inner().context("cannot end an archive")
    }
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}
