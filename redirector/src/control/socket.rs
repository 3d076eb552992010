//! The file of a Unix socket: it ends with who listens on it.

use std::{
    fs,
    io::ErrorKind,
    os::unix::{
        fs::{FileTypeExt as _, MetadataExt as _},
        net::UnixStream,
    },
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use tokio::net::UnixListener;
use tracing::warn;

use super::clear;

/// A socket that this process listens on, removed when this is dropped; another one that has taken its
/// place by then stays.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode number.
    is: Option<(u64, u64)>,
}

impl SocketFile {
    /// The socket that is there now.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), is: identity(path) }
    }

    /// Whether it is still there.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.is.is_some() && identity(&self.path) == self.is
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.is_there()
            && let Err(error) = fs::remove_file(&self.path)
        {
            warn!(path = %self.path.display(), %error, "cannot remove the socket");
        }
    }
}

/// Listens at `path`, which is made beside, restricted, and moved: at no time may others open it.
///
/// # Errors
///
/// The socket cannot be made.
pub(super) fn listen_beside(
    path: &Path,
    restrict: impl FnOnce(&Path) -> Result<()>,
) -> Result<UnixListener> {
    let beside = path.with_extension("new");
    clear(&beside)?;
    let listener = UnixListener::bind(&beside)?;
    restrict(&beside)?;
    fs::rename(&beside, path)?;
    Ok(listener)
}

/// Removes a socket on which no process listens: the one that did was killed.
///
/// # Errors
///
/// It cannot be removed.
pub(super) fn remove_dead(path: &Path) -> Result<()> {
    let is_socket = path.symlink_metadata().is_ok_and(|is| is.file_type().is_socket());
    let refused = |error: std::io::Error| error.kind() == ErrorKind::ConnectionRefused;
    if is_socket && UnixStream::connect(path).is_err_and(refused) {
        fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    path.symlink_metadata().map(|is| (is.dev(), is.ino())).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::{SocketFile, fs, remove_dead};

    #[test]
    fn a_socket_goes_with_who_made_it_and_its_successor_stays() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("control.sock");
        let _first = UnixListener::bind(&path).expect("a socket");
        let file = SocketFile::at(&path);
        assert!(file.is_there());
        drop(file);
        assert!(!path.exists());

        let _second = UnixListener::bind(&path).expect("a socket");
        let file = SocketFile::at(&path);
        // Made beside and moved, as successors do.
        let beside = directory.path().join("new");
        let _third = UnixListener::bind(&beside).expect("a socket");
        fs::rename(&beside, &path).expect("moved");
        assert!(!file.is_there());
        drop(file);
        assert!(path.exists());
    }

    #[test]
    fn only_a_socket_that_nobody_listens_on_is_dead() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("control.sock");
        let listener = UnixListener::bind(&path).expect("a socket");
        remove_dead(&path).expect("nothing to remove");
        assert!(path.exists());
        drop(listener);
        remove_dead(&path).expect("removed");
        assert!(!path.exists());
        remove_dead(&path).expect("nothing there");
        fs::write(&path, "no socket").expect("a file");
        remove_dead(&path).expect("nothing to remove");
        assert!(path.exists());
    }
}
