//! Users who may do little: the loader's, the agent's, a tenant's, and one with no part in it.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path, process::Command};

use anyhow::{Context as _, Result};

/// Capabilities that loading takes.
pub const LOADING: &[&str] = &["bpf", "net_admin", "perfmon"];
/// Capabilities that loading takes at least.
pub const WITHOUT_PERFMON: &[&str] = &["bpf", "net_admin"];

/// A user of no account, and its only group.
#[derive(Clone, Copy, Debug)]
pub struct User {
    /// Its number.
    pub user: u32,
    /// The number of its group.
    pub group: u32,
}

/// Loads. Its group is the agent's: with it pins are shared.
pub const LOADER: User = User { user: 64_001, group: AGENT.group };
/// Runs the agent.
pub const AGENT: User = User { user: 65_532, group: 65_532 };
/// Runs programs that are not trusted.
pub const TENANT: User = User { user: 65_534, group: 65_534 };
/// Has nothing to do with the others.
pub const STRANGER: User = User { user: 64_003, group: 64_003 };

impl User {
    /// `program` as this user, with these capabilities, no others ever, and killed when the thread
    /// that started it ends.
    #[must_use]
    pub fn command(self, program: &Path, capabilities: &[&str]) -> Command {
        let set: String = capabilities.iter().map(|name| format!(",+{name}")).collect();
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", &self.user.to_string(), "--regid", &self.group.to_string()])
            .args(["--clear-groups", "--no-new-privs", "--pdeathsig", "KILL"])
            .args(
                ["--bounding-set", "--inh-caps", "--ambient-caps"]
                    .map(|of| format!("{of}=-all{set}")),
            )
            .arg(program);
        command
    }

    /// The user as `--owner` takes it.
    #[must_use]
    pub fn owner(self) -> String {
        format!("{}:{}", self.user, self.group)
    }
}

/// What the kernel says of a running process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Privileges {
    /// Its user, as files see it.
    pub user: u32,
    /// `CapInh`, `CapPrm`, `CapEff`, `CapBnd`, `CapAmb` of `/proc/PID/status`.
    pub capabilities: [u64; 5],
    /// `NoNewPrivs`.
    pub may_gain_none: bool,
}

impl Privileges {
    /// Reads what the kernel says of a process.
    pub fn of(pid: u32) -> Result<Self> {
        let directory = format!("/proc/{pid}");
        let status = fs::read_to_string(format!("{directory}/status"))
            .with_context(|| format!("cannot read {directory}/status"))?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.map(str::trim).with_context(|| format!("{directory}/status has no {name}"))
        };
        let mut capabilities = [0; 5];
        for (set, name) in
            capabilities.iter_mut().zip(["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"])
        {
            *set = u64::from_str_radix(field(name)?, 16).context("a set is not hexadecimal")?;
        }
        let user = fs::metadata(&directory).context("the process has ended")?.uid();
        Ok(Self { user, capabilities, may_gain_none: field("NoNewPrivs")? == "1" })
    }
}
