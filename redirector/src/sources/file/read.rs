//! Reads the file's bytes: a regular file of bounded size, in UTF-8.

use std::{
    fs::OpenOptions,
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::Arc,
};

use super::{Config, Invalid, parse};

/// Largest file in bytes: some 800,000 backends.
const LARGEST: u64 = 64 << 20;

/// Reads the file at `path`, which every message names.
pub fn read(path: &Path) -> Result<Config, Invalid> {
    let contents = Contents::read(path);
    contents.parse(&path.display().to_string())
}

/// What was found at a path: bytes, or why there are none. Compared to see whether it changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Contents {
    Bytes(Arc<[u8]>),
    Unreadable(String),
}

impl Contents {
    pub fn read(path: &Path) -> Self {
        match try_read(path) {
            Ok(contents) => contents,
            Err(error) => Self::Unreadable(format!("cannot read the file: {error}")),
        }
    }

    pub fn parse(&self, path: &str) -> Result<Config, Invalid> {
        let bytes = match self {
            Self::Bytes(bytes) => bytes,
            Self::Unreadable(why) => return Err(Invalid::whole(path, why)),
        };
        match std::str::from_utf8(bytes) {
            Ok(text) => parse(path, text),
            Err(error) => Err(Invalid::not_utf8(path, &bytes[..error.valid_up_to()])),
        }
    }
}

fn try_read(path: &Path) -> io::Result<Contents> {
    // Without O_NONBLOCK the open of a FIFO would wait for a writer.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Ok(Contents::Unreadable("is a directory; name a file in it".to_owned()));
    }
    if !metadata.is_file() {
        return Ok(Contents::Unreadable("is no regular file".to_owned()));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len().min(LARGEST)).unwrap_or(0));
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Ok(Contents::Unreadable(format!("is larger than {} MiB", LARGEST >> 20)));
    }
    Ok(Contents::Bytes(bytes.into()))
}
