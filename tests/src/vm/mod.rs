//! Boots other kernels with our binaries as their whole user space, and reads what they report.
//!
//! The host's half fetches kernels, builds an initramfs and runs qemu; `guest` is what `vm-init`
//! does inside. Neither half knows the datapath: the guest runs the production binary.

mod apt;
mod binaries;
mod cpio;
pub mod guest;
mod kernels;
mod qemu;
mod report;
mod table;

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};

pub use kernels::{ALL, Kernel, LINUX_5_10, LINUX_6_1, LINUX_6_12, NEWEST, Skip};
pub use report::{Check, Report};
pub use table::InstructionTable;

/// Emulation on a shared machine can be slow; a guest normally ends within 20 s.
const LONGEST_BOOT: Duration = Duration::from_secs(120);

/// Boots `kernel` and returns what its guest found, or why the kernel may be left out.
pub fn boot(kernel: Kernel) -> Result<Result<Report, Skip>> {
    let target = binaries::target_directory()?;
    let directory = target.join("vm").join(kernel.name);
    let image = match kernel.image(&directory)? {
        Ok(image) => image,
        Err(skip) => return Ok(Err(skip)),
    };
    let initramfs = shared_initramfs(&target)?;
    let machine = qemu::Machine::boot(&image, &initramfs, &directory)?;
    let text = machine.wait(LONGEST_BOOT).with_context(|| {
        format!("kernel {} ({}; logs in {})", kernel.name, image.display(), directory.display())
    })?;
    Report::parse(&text).map(Ok)
}

/// The initramfs is the same for every kernel: built by whoever needs it first.
fn shared_initramfs(target: &Path) -> Result<PathBuf> {
    static BUILT: Mutex<Option<PathBuf>> = Mutex::new(None);
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = &*built {
        return Ok(path.clone());
    }
    let path = write_initramfs(target)?;
    Ok(built.insert(path).clone())
}

fn write_initramfs(target: &Path) -> Result<PathBuf> {
    let binaries = binaries::build(target)?;
    let path = target.join("vm").join("initramfs.cpio");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut archive = cpio::Archive::new(BufWriter::new(file));
    for directory in guest::DIRECTORIES {
        archive.directory(directory)?;
    }
    // The kernel opens the console before init has mounted anything.
    archive.character_device("dev/console", 5, 1)?;
    archive.file("config.yaml", 0o644, guest::CONFIG.as_bytes())?;
    archive.file("init", 0o755, &binaries.init)?;
    archive.file("redirector", 0o755, &binaries.redirector)?;
    archive.finish().with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}
