//! The image: the binary and the licences as one layer, in the layout of the OCI: blobs by their
//! digest, and an index that leads to them.

use std::io::Write as _;

use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::archive::Archive;

/// The tag that manifests name: the workspace's version.
const TAG: &str = env!("CARGO_PKG_VERSION");
/// The name by which containerd and podman know the image once it is imported. It is no
/// registry's: no engine tries to pull it.
pub(super) const NAME: &str = concat!("localhost/redirector:", env!("CARGO_PKG_VERSION"));
/// User and group of the agent, as the DaemonSet has them too.
const USER: &str = "65532:65532";

/// Where the binary is in the image; beside it, under its other name, is a link to it.
pub(super) const BINARY: &str = "usr/bin/redirector";
pub(super) const PLUGIN: &str = "usr/bin/kubectl-redirector";

/// An image in one file.
pub(super) struct Image {
    /// The archive.
    pub(super) archive: Vec<u8>,
    /// `sha256:…` of its manifest, by which a registry knows it.
    pub(super) digest: String,
}

/// A tar archive of the binary, and of the name and text of each licence.
pub(super) fn layer(binary: &[u8], licences: &[(&str, &[u8])]) -> Result<Vec<u8>> {
    let mut archive = Archive::new();
    archive.add("licenses/", 0o755, &[])?;
    for (name, text) in licences {
        archive.add(&format!("licenses/{name}"), 0o644, text)?;
    }
    archive.add("usr/", 0o755, &[])?;
    archive.add("usr/bin/", 0o755, &[])?;
    archive.symlink(PLUGIN, "redirector")?;
    archive.add(BINARY, 0o755, binary)?;
    archive.finish()
}

/// Puts a layer into an archive of an image layout.
pub(super) fn image(layer: &[u8], architecture: &str) -> Result<Image> {
    let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    let gzip = gzip.write_all(layer).and_then(|()| gzip.finish());
    let gzip = gzip.context("cannot compress the layer")?;
    let mut archive = Archive::new();
    archive.add("blobs/", 0o755, &[])?;
    archive.add("blobs/sha256/", 0o755, &[])?;
    let rootfs = put(&mut archive, "application/vnd.oci.image.layer.v1.tar+gzip", &gzip)?;
    let config = json!({
        "architecture": architecture,
        "os": "linux",
        "config": {
            "Entrypoint": ["/usr/bin/redirector"],
            "Env": ["PATH=/usr/bin"],
            "User": USER,
            "WorkingDir": "/",
        },
        "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
        "history": [{"created_by": "cargo xtask image"}],
    });
    let config = serde_json::to_vec(&config)?;
    let config = put(&mut archive, "application/vnd.oci.image.config.v1+json", &config)?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config,
        "layers": [rootfs],
        "annotations": {
            "org.opencontainers.image.title": "redirector",
            "org.opencontainers.image.version": TAG,
            "org.opencontainers.image.licenses": "MIT OR Apache-2.0",
        },
    });
    let mut manifest = put(&mut archive, MANIFEST, &serde_json::to_vec(&manifest)?)?;
    let digest = manifest["digest"].as_str().unwrap_or_default().to_owned();
    manifest["platform"] = json!({"architecture": architecture, "os": "linux"});
    manifest["annotations"] = json!({
        "io.containerd.image.name": NAME,
        "org.opencontainers.image.ref.name": TAG,
    });
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [manifest],
    });
    archive.add("index.json", 0o644, &serde_json::to_vec(&index)?)?;
    archive.add("oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    Ok(Image { archive: archive.finish()?, digest })
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Adds a blob; the answer is its descriptor.
fn put(archive: &mut Archive, media_type: &str, blob: &[u8]) -> Result<Value> {
    let digest = digest(blob);
    archive.add(&format!("blobs/{}", digest.replace(':', "/")), 0o644, blob)?;
    Ok(json!({"mediaType": media_type, "digest": digest, "size": blob.len()}))
}

pub(super) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes))
}
