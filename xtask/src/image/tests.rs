//! What is in the archive, read back as an engine would.

use std::{collections::BTreeMap, io::Read as _};

use serde_json::Value;

use super::{elf, layout};

const MIT: &str = "LICENSE-MIT";

fn image(binary: &[u8]) -> layout::Image {
    let layer = layout::layer(binary, &[(MIT, b"text")]).expect("a layer");
    layout::image(&layer, "amd64").expect("an image")
}

/// Contents by path; those of a link are where it leads to.
fn read(archive: &[u8]) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut archive = tar::Archive::new(archive);
    let mut files = BTreeMap::new();
    for entry in archive.entries().expect("an archive") {
        let mut entry = entry.expect("an entry");
        let path = entry.path().expect("a path").display().to_string();
        let header = entry.header();
        assert_eq!((header.mtime().ok(), header.uid().ok()), (Some(0), Some(0)), "{path}");
        let mode = header.mode().expect("a mode");
        let mut contents = Vec::new();
        match entry.link_name().expect("a link name") {
            Some(link) => contents.extend(link.display().to_string().into_bytes()),
            None => drop(entry.read_to_end(&mut contents).expect("contents")),
        }
        assert!(files.insert(path, (mode, contents)).is_none(), "twice the same path");
    }
    files
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}

/// The blob that a descriptor means, if digest and size are right.
fn blob<'a>(files: &'a BTreeMap<String, (u32, Vec<u8>)>, descriptor: &Value) -> &'a [u8] {
    let digest = descriptor["digest"].as_str().expect("a digest");
    let path = format!("blobs/{}", digest.replace(':', "/"));
    let (_, blob) = files.get(&path).unwrap_or_else(|| panic!("there is no {path}"));
    assert_eq!(layout::digest(blob), digest);
    assert_eq!(descriptor["size"], blob.len());
    blob
}

#[test]
fn an_index_leads_to_the_binary_under_both_its_names() {
    let image = image(b"binary");
    let files = read(&image.archive);
    assert_eq!(json(&files["oci-layout"].1)["imageLayoutVersion"], "1.0.0");
    let descriptor = &json(&files["index.json"].1)["manifests"][0];
    assert_eq!(descriptor["digest"], image.digest);
    let manifest = json(blob(&files, descriptor));
    let config = json(blob(&files, &manifest["config"]));
    assert_eq!(config["config"]["User"], "65532:65532");
    let entrypoint = config["config"]["Entrypoint"][0].as_str().expect("an entrypoint");

    let mut layer = Vec::new();
    flate2::read::GzDecoder::new(blob(&files, &manifest["layers"][0]))
        .read_to_end(&mut layer)
        .expect("a gzip file");
    assert_eq!(config["rootfs"]["diff_ids"][0], layout::digest(&layer));
    let rootfs = read(&layer);
    assert_eq!(rootfs[entrypoint.trim_start_matches('/')], (0o755, b"binary".to_vec()));
    assert_eq!(rootfs[layout::PLUGIN].1, b"redirector");
    assert_eq!(rootfs[&format!("licenses/{MIT}")], (0o644, b"text".to_vec()));
}

#[test]
fn the_same_binary_makes_the_same_bytes() {
    assert_eq!(image(b"binary").archive, image(b"binary").archive);
    assert_ne!(image(b"binary").digest, image(b"another").digest);
}

#[test]
fn a_dynamically_linked_binary_is_refused() {
    let this = std::fs::read(std::env::current_exe().expect("this test")).expect("readable");
    let error = elf::static_architecture(&this).expect_err("tests are linked dynamically");
    assert!(error.to_string().contains("linked dynamically"), "{error}");
    let error = elf::static_architecture(b"#!/bin/sh\n").expect_err("a script");
    assert!(error.to_string().contains("no 64-bit"), "{error}");
    let error = elf::static_architecture(&this[..100]).expect_err("cut off");
    assert!(error.to_string().contains("end early"), "{error}");
}
