//! What happens inside a guest: set up, load the real object, dial through it, report, power off.

mod machine;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::process;

use anyhow::{Context, Result, ensure};

use super::report::{Check, Line};

/// Mount points and parents; an initramfs has nothing by itself.
pub(super) const DIRECTORIES: [&str; 4] = ["dev", "proc", "sys", "tmp"];

/// The static file that the agent inside runs with.
pub(super) const CONFIG: &str = include_str!("config.yaml");

/// Process 1. Whatever goes wrong becomes a failed check: the host shows it and the guest ends.
pub fn run() -> Result<()> {
    ensure!(process::id() == 1, "this is the init of a test guest; it must be process 1");
    machine::mount_all()?;
    let mut report = Reporter::open()?;
    let outcome = check_everything(&mut report);
    report.check("the guest reached its end", outcome)?;
    report.line(&Line::End { seconds_since_boot: machine::seconds_since_boot()? })?;
    machine::power_off();
    Ok(())
}

fn check_everything(report: &mut Reporter) -> Result<()> {
    report.line(&Line::Kernel { release: machine::kernel_release()? })?;
    machine::bring_loopback_up()?;
    Ok(())
}

/// The second serial port: no message of the kernel can end up inside a line there.
#[derive(Debug)]
struct Reporter {
    port: File,
}

impl Reporter {
    fn open() -> Result<Self> {
        let port = OpenOptions::new().write(true).open("/dev/ttyS1");
        Ok(Self { port: port.context("cannot open the second serial port")? })
    }

    fn check(&mut self, name: &str, outcome: Result<()>) -> Result<()> {
        let failure = outcome.err().map(|error| format!("{error:#}"));
        self.line(&Line::Check(Check { name: name.to_owned(), failure }))
    }

    fn line(&mut self, line: &Line) -> Result<()> {
        let mut text = serde_json::to_string(line).context("a line that is not JSON")?;
        text.push('\n');
        self.port.write_all(text.as_bytes()).context("cannot write to the serial port")
    }
}
