//! The image layout of the OCI: blobs by their digest, and an index that leads to them.

use std::{collections::BTreeMap, io::Write as _};

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

/// An image in one file.
pub(super) struct Image {
    /// The archive.
    pub(super) archive: Vec<u8>,
    /// `sha256:…` of its manifest, by which a registry knows it.
    pub(super) digest: String,
}

/// Puts a layer into an archive of an image layout.
pub(super) fn image(layer: &[u8], architecture: &str) -> Result<Image> {
    let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    let gzip = gzip.write_all(layer).and_then(|()| gzip.finish());
    let gzip = gzip.context("cannot compress the layer")?;
    let mut blobs = Blobs::default();
    let rootfs = blobs.put("application/vnd.oci.image.layer.v1.tar+gzip", gzip);
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
    let config = blobs.put_json("application/vnd.oci.image.config.v1+json", &config)?;
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
    let mut manifest = blobs.put_json(MANIFEST, &manifest)?;
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
    Ok(Image { archive: blobs.archive(&index)?, digest })
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Blobs by their digest in hexadecimal.
#[derive(Default)]
struct Blobs(BTreeMap<String, Vec<u8>>);

impl Blobs {
    /// Keeps a blob; the answer is its descriptor.
    fn put(&mut self, media_type: &str, bytes: Vec<u8>) -> Value {
        let (digest, size) = (digest(&bytes), bytes.len());
        self.0.insert(digest["sha256:".len()..].to_owned(), bytes);
        json!({"mediaType": media_type, "digest": digest, "size": size})
    }

    fn put_json(&mut self, media_type: &str, value: &Value) -> Result<Value> {
        Ok(self.put(media_type, serde_json::to_vec(value)?))
    }

    fn archive(self, index: &Value) -> Result<Vec<u8>> {
        let mut archive = Archive::new();
        archive.directory("blobs/")?;
        archive.directory("blobs/sha256/")?;
        for (digest, bytes) in &self.0 {
            archive.file(&format!("blobs/sha256/{digest}"), 0o644, bytes)?;
        }
        archive.file("index.json", 0o644, &serde_json::to_vec(index)?)?;
        archive.file("oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        archive.finish()
    }
}

pub(super) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes))
}
