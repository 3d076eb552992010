//! Boots other kernels with our binaries as their whole user space, and reads what they report.
//!
//! The host's half fetches kernels, builds an initramfs and runs qemu; `guest` is what `vm-init`
//! does inside. Neither half knows the datapath: the guest runs the production binary.

mod apt;
mod binaries;
pub mod guest;
mod kernels;
mod qemu;
mod report;
mod steps;
mod table;

use std::collections::BTreeSet;
use std::env;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use cpio::newc;

use self::binaries::Binaries;
pub use kernels::{ALL, Kernel, LINUX_5_10, LINUX_6_1, LINUX_6_12, NEWEST, Skip};
pub use report::{Check, Finding, Outcome, Report, Step};
pub use steps::{StepTable, contradictions};
pub use table::InstructionTable;

/// Emulation on a shared machine can be slow; a guest normally ends within a minute.
const LONGEST_BOOT: Duration = Duration::from_secs(240);

/// Types of files in the mode of an archive's entry.
const FILE: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;
const CHARACTER_DEVICE: u32 = 0o020_000;

/// Boots `kernel` and returns what its guest found, or why the kernel may be left out.
pub fn boot(kernel: Kernel) -> Result<Result<Report, Skip>> {
    let directory = target_directory()?.join("vm").join(kernel.name);
    let files = match kernel.files(&directory)? {
        Ok(files) => files,
        Err(skip) => return Ok(Err(skip)),
    };
    let initramfs = write_initramfs(&*shared_binaries()?, &files.modules, &directory)?;
    let machine = qemu::Machine::boot(&files.image, &initramfs, &directory)?;
    let text = machine.wait(LONGEST_BOOT).with_context(|| {
        let image = files.image.display();
        format!("kernel {} ({image}; logs in {})", kernel.name, directory.display())
    })?;
    Report::parse(&text).map(Ok)
}

/// The binaries are the same for every kernel: built by the test that needs them first.
fn shared_binaries() -> Result<Arc<Binaries>> {
    static READ: Mutex<Option<Arc<Binaries>>> = Mutex::new(None);
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(binaries) = &*read {
        return Ok(Arc::clone(binaries));
    }
    let binaries = Arc::new(Binaries::read()?);
    Ok(Arc::clone(read.insert(binaries)))
}

/// Cargo's target directory: this test runs from `<target>/<profile>/deps`.
fn target_directory() -> Result<PathBuf> {
    let test = env::current_exe().context("cannot find the path of this test")?;
    let target = test.ancestors().nth(3);
    Ok(target.context("this test does not run from a target directory")?.to_owned())
}

/// A "newc" cpio archive, the one format that every kernel unpacks. Nothing here compresses: the guest
/// would spend longer on inflating than qemu on copying.
fn write_initramfs(binaries: &Binaries, modules: &[PathBuf], directory: &Path) -> Result<PathBuf> {
    let path = directory.join("initramfs.cpio");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut archive = BufWriter::new(file);
    for directory in guest::DIRECTORIES {
        add(&mut archive, a_directory(directory), &[])?;
    }
    // The kernel opens the console before init has mounted anything.
    let console = newc::Builder::new("dev/console").mode(CHARACTER_DEVICE | 0o600);
    add(&mut archive, console.rdev_major(5).rdev_minor(1), &[])?;
    for (path, config) in guest::CONFIGS {
        add(&mut archive, a_file(path.trim_start_matches('/'), 0o644), config.as_bytes())?;
    }
    for module in modules {
        let name = module.file_name().and_then(|name| name.to_str());
        let name = name.with_context(|| format!("no name: {}", module.display()))?;
        let content =
            fs::read(module).with_context(|| format!("cannot read {}", module.display()))?;
        add(&mut archive, a_file(&format!("modules/{name}"), 0o644), &content)?;
    }
    let mut directories = BTreeSet::new();
    for (path, content) in &binaries.libraries {
        let name = path.strip_prefix("/").unwrap_or(path);
        // From the outermost one: parents come before what is in them.
        for above in name.ancestors().skip(1).collect::<Vec<_>>().into_iter().rev() {
            let above = above.display().to_string();
            if !above.is_empty() && directories.insert(above.clone()) {
                add(&mut archive, a_directory(&above), &[])?;
            }
        }
        add(&mut archive, a_file(&name.display().to_string(), 0o755), content)?;
    }
    add(&mut archive, a_file("init", 0o755), &binaries.init)?;
    add(&mut archive, a_file("redirector", 0o755), &binaries.redirector)?;
    newc::trailer(archive)
        .and_then(|mut archive| archive.flush())
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

fn a_directory(path: &str) -> newc::Builder {
    newc::Builder::new(path).mode(DIRECTORY | 0o755)
}

fn a_file(path: &str, permissions: u32) -> newc::Builder {
    newc::Builder::new(path).mode(FILE | permissions)
}

fn add(archive: &mut impl Write, entry: newc::Builder, content: &[u8]) -> io::Result<()> {
    let mut entry = entry.write(archive, u32::try_from(content.len()).map_err(io::Error::other)?);
    entry.write_all(content)?;
    entry.finish().map(drop)
}
