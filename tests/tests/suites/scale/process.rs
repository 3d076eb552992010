//! What the agent's process takes and says.

use std::{fs, time::Duration};

use redirector_tests::agent::Agent;

/// Memory of a process, in KiB.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// The most that it ever had, mapped arrays of the kernel included (`VmHWM`).
    pub peak: u64,
    /// What nobody shares (`RssAnon`): heap and stacks.
    pub own: u64,
    /// Pages of the binary, and of the kernel's arrays that it has mapped (`RssFile`, `RssShmem`).
    pub mapped: u64,
}

impl Memory {
    pub fn of(agent: &Agent) -> Self {
        let status = read(agent, "status");
        let field = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next());
            number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no {name}"))
        };
        let mapped = field("RssFile:") + field("RssShmem:");
        Self { peak: field("VmHWM:"), own: field("RssAnon:"), mapped }
    }
}

/// How long the agent's process has existed; the kernel counts in hundredths of a second.
pub fn age(agent: &Agent) -> Duration {
    let uptime = fs::read_to_string("/proc/uptime").expect("this is Linux");
    let uptime: f64 = uptime.split(' ').next().and_then(|text| text.parse().ok()).expect("seconds");
    // proc_pid_stat(5), field 22: starttime.
    Duration::from_secs_f64(uptime).saturating_sub(ticks(stat(agent)[19]))
}

/// Processor time that it has taken.
pub fn cpu(agent: &Agent) -> Duration {
    let stat = stat(agent);
    // Fields 14 and 15: utime, stime.
    ticks(stat[11] + stat[12])
}

/// From field 3 on: what is before may contain spaces. State letters are 0.
fn stat(agent: &Agent) -> Vec<u64> {
    let stat = read(agent, "stat");
    let (_, fields) = stat.rsplit_once(") ").expect("a name in parentheses");
    fields.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect()
}

fn ticks(count: u64) -> Duration {
    // USER_HZ is 100 on every architecture that Linux still runs on but Alpha.
    Duration::from_millis(count * 10)
}

fn read(agent: &Agent, file: &str) -> String {
    let pid = agent.pid().expect("the agent runs");
    let path = format!("/proc/{pid}/{file}");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}
