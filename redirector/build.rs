//! Puts the eBPF object beside the binary's code. Without one the binary still builds, and says at
//! run time how to make it.

use std::{env, fs, path::PathBuf};

fn main() {
    println!("cargo::rerun-if-env-changed=REDIRECTOR_BPF_OBJECT");
    let object = env::var_os("REDIRECTOR_BPF_OBJECT").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/bpf/redirector.o"),
        PathBuf::from,
    );
    println!("cargo::rerun-if-changed={}", object.display());
    let embedded = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::write(embedded.join("redirector.o"), fs::read(object).unwrap_or_default())
        .expect("cargo's OUT_DIR is writable");
}
