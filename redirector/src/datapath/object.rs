//! The eBPF object that was built into this binary.

use anyhow::{Result, ensure};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/redirector.o"));

/// The programs and maps, not yet loaded.
#[derive(Clone, Copy, Debug)]
pub struct Object(&'static [u8]);

impl Object {
    /// The object of this binary.
    ///
    /// # Errors
    ///
    /// The binary was built without one.
    pub fn embedded() -> Result<Self> {
        ensure!(
            !OBJECT.is_empty(),
            "this binary was built without its eBPF object; build it with `cargo xtask build`"
        );
        Ok(Self(OBJECT))
    }

    /// The ELF file.
    #[must_use]
    pub const fn bytes(self) -> &'static [u8] {
        self.0
    }
}
