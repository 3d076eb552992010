//! The one layer of the image: the binary under both its names, and the licences.

use std::io::Write as _;

use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder};

use super::archive::Archive;

/// Where the binary is in the image; beside it, under its other name, is a link to it.
pub(super) const BINARY: &str = "usr/bin/redirector";
pub(super) const PLUGIN: &str = "usr/bin/kubectl-redirector";

/// The file system of the image.
pub(super) struct Layer {
    /// The layer as the image's configuration names it by digest.
    pub(super) tar: Vec<u8>,
    /// The layer as it is shipped.
    pub(super) gzip: Vec<u8>,
}

/// Makes the layer of the binary, and of the name and text of each licence.
pub(super) fn layer(binary: &[u8], licences: &[(&str, Vec<u8>)]) -> Result<Layer> {
    let mut archive = Archive::new();
    archive.directory("licenses/")?;
    for (name, text) in licences {
        archive.file(&format!("licenses/{name}"), 0o644, text)?;
    }
    archive.directory("usr/")?;
    archive.directory("usr/bin/")?;
    archive.symlink(PLUGIN, "redirector")?;
    archive.file(BINARY, 0o755, binary)?;
    let tar = archive.finish()?;
    let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    let gzip = gzip.write_all(&tar).and_then(|()| gzip.finish());
    Ok(Layer { tar, gzip: gzip.context("cannot compress the layer")? })
}
