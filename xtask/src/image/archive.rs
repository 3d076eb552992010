//! Tar archives that are the same whenever and by whomever they are made.

use anyhow::{Context as _, Result};
use tar::{Builder, EntryType, Header};

/// An archive in memory. All that is in it belongs to root and is from 1970.
pub(super) struct Archive(Builder<Vec<u8>>);

impl Archive {
    pub(super) fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    pub(super) fn directory(&mut self, path: &str) -> Result<()> {
        let mut header = header(EntryType::Directory, 0o755, 0);
        self.append(&mut header, path, &[])
    }

    pub(super) fn file(&mut self, path: &str, mode: u32, contents: &[u8]) -> Result<()> {
        let mut header = header(EntryType::Regular, mode, contents.len() as u64);
        self.append(&mut header, path, contents)
    }

    pub(super) fn symlink(&mut self, path: &str, to: &str) -> Result<()> {
        let mut header = header(EntryType::Symlink, 0o777, 0);
        let done = self.0.append_link(&mut header, path, to);
        done.with_context(|| format!("cannot archive {path}"))
    }

    pub(super) fn finish(self) -> Result<Vec<u8>> {
        self.0.into_inner().context("cannot end an archive")
    }

    fn append(&mut self, header: &mut Header, path: &str, contents: &[u8]) -> Result<()> {
        let done = self.0.append_data(header, path, contents);
        done.with_context(|| format!("cannot archive {path}"))
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
