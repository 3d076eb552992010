//! Runs one virtual machine: emulated, without a network, with two serial ports kept as files.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

const MEMORY_MIB: u32 = 512;
const POLL: Duration = Duration::from_millis(20);

/// A running guest. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Machine {
    qemu: Child,
    console: PathBuf,
    report: PathBuf,
}

impl Machine {
    /// Boots `image` with `initramfs`; leaves `console.log` (the kernel's messages and whatever is
    /// printed) and `report.log` (what the guest writes to its second serial port) in `directory`.
    pub(super) fn boot(image: &Path, initramfs: &Path, directory: &Path) -> Result<Self> {
        let console = directory.join("console.log");
        let report = directory.join("report.log");
        for log in [&console, &report] {
            fs::write(log, "").with_context(|| format!("cannot write {}", log.display()))?;
        }
        let mut command = Command::new("qemu-system-x86_64");
        // Emulation only: KVM is absent on most CI machines and hangs on some.
        command
            .args(["-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", &MEMORY_MIB.to_string()])
            .args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"])
            .args(["-nic", "none", "-monitor", "none"])
            .arg("-kernel")
            .arg(image)
            .arg("-initrd")
            .arg(initramfs)
            // A panic reboots at once, which `-no-reboot` turns into the end of qemu.
            .args(["-append", "console=ttyS0 loglevel=4 panic=-1 oops=panic mitigations=off"])
            .arg("-serial")
            .arg(format!("file:{}", console.display()))
            .arg("-serial")
            .arg(format!("file:{}", report.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        // SAFETY: prctl is async-signal-safe and touches nothing of this process.
        unsafe {
            command.pre_exec(|| {
                // A test that is killed takes its guest with it.
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                Ok(())
            });
        }
        let qemu = command
            .spawn()
            .context("cannot run qemu-system-x86_64; on Debian: apt-get install qemu-system-x86")?;
        Ok(Self { qemu, console, report })
    }

    /// Waits until the guest has powered off and returns what it wrote to its report port.
    pub(super) fn wait(mut self, longest: Duration) -> Result<String> {
        let deadline = Instant::now() + longest;
        let status = loop {
            if let Some(status) = self.qemu.try_wait().context("cannot wait for qemu")? {
                break status;
            }
            if Instant::now() > deadline {
                bail!("the guest did not end within {longest:?}; its last words:\n{}", self.tail());
            }
            thread::sleep(POLL);
        };
        if !status.success() {
            let mut errors = String::new();
            if let Some(mut stderr) = self.qemu.stderr.take() {
                std::io::Read::read_to_string(&mut stderr, &mut errors)?;
            }
            bail!("qemu ended with {status}: {}\n{}", errors.trim(), self.tail());
        }
        let report = fs::read_to_string(&self.report).context("cannot read the report")?;
        ensure!(!report.is_empty(), "the guest reported nothing; its last words:\n{}", self.tail());
        Ok(report)
    }

    fn tail(&self) -> String {
        let console = fs::read(&self.console).unwrap_or_default();
        let text = String::from_utf8_lossy(&console);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}
