//! The one layer of the image: the binary under both its names, and the licences.

use anyhow::Result;

use super::archive::Archive;

/// Where the binary is in the image; beside it, under its other name, is a link to it.
pub(super) const BINARY: &str = "usr/bin/redirector";
pub(super) const PLUGIN: &str = "usr/bin/kubectl-redirector";

/// A tar archive of the binary, and of the name and text of each licence.
pub(super) fn layer(binary: &[u8], licences: &[(&str, Vec<u8>)]) -> Result<Vec<u8>> {
    let mut archive = Archive::new();
    archive.directory("licenses/")?;
    for (name, text) in licences {
        archive.file(&format!("licenses/{name}"), 0o644, text)?;
    }
    archive.directory("usr/")?;
    archive.directory("usr/bin/")?;
    archive.symlink(PLUGIN, "redirector")?;
    archive.file(BINARY, 0o755, binary)?;
    archive.finish()
}
