//! The eBPF object that was built into this binary.

use anyhow::{Result, ensure};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/redirector.o"));

/// The ELF file with the programs and maps; an error if the binary was built without one.
pub(super) fn object() -> Result<&'static [u8]> {
    ensure!(
        !OBJECT.is_empty(),
        "this binary was built without its eBPF object; build it with `cargo xtask build`"
    );
    Ok(OBJECT)
}
