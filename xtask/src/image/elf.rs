//! What an executable says of itself: its machine, and whether it needs others to run.

use anyhow::{Context as _, Result, bail, ensure};

/// `PT_INTERP` of elf(5): the dynamic loader that the kernel is to start instead.
const INTERPRETER: u32 = 3;

/// The architecture by its name in image configurations (`GOARCH`).
///
/// # Errors
///
/// It is no 64-bit little-endian ELF file, is for a machine that is not supported, or is linked
/// dynamically: an image without a C library could not start it.
pub(super) fn static_architecture(file: &[u8]) -> Result<&'static str> {
    ensure!(file.starts_with(b"\x7fELF\x02\x01"), "it is no 64-bit little-endian ELF file");
    let architecture = match number(file, 18, 2)? {
        62 => "amd64",
        183 => "arm64",
        machine => bail!("it is for the ELF machine {machine}"),
    };
    let (start, size, count) = (number(file, 32, 8)?, number(file, 54, 2)?, number(file, 56, 2)?);
    for header in 0..count {
        let kind = number(file, start + header * size, 4)?;
        ensure!(
            kind != u64::from(INTERPRETER),
            "it is linked dynamically; build it with RUSTFLAGS=-Ctarget-feature=+crt-static"
        );
    }
    Ok(architecture)
}

/// The unsigned number of `size` bytes at `offset`.
fn number(file: &[u8], offset: u64, size: usize) -> Result<u64> {
    let bytes = usize::try_from(offset)
        .ok()
        .and_then(|offset| file.get(offset..offset.checked_add(size)?))
        .context("its ELF headers end early")?;
    Ok(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}
