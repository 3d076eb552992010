//! CPU time that was used: of a process, and of all that ever ran in a cgroup.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result};

/// Of a tick of `/proc/PID/stat`: USER_HZ is 100 on x86-64 and arm64.
const TICK: Duration = Duration::from_millis(10);

/// Of a process and its threads so far, to 10 ms.
pub(super) fn of_process(pid: u32) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let ticks = ticks(&text).with_context(|| format!("{path} has no times"))?;
    Ok(TICK * ticks)
}

/// Of a cgroup's processes so far, also of those that have ended.
pub(super) fn of_cgroup(cgroup: &Path) -> Result<Duration> {
    let text = fs::read_to_string(cgroup.join("cpu.stat"));
    let text = text.context("cannot read a cgroup's cpu.stat")?;
    let used = text.lines().find_map(|line| line.strip_prefix("usage_usec "));
    let used = used.and_then(|used| used.parse().ok()).context("cpu.stat has no usage")?;
    Ok(Duration::from_micros(used))
}

/// User and system time: the 14th and 15th field, and the second one may have blanks.
fn ticks(stat: &str) -> Option<u32> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut times = rest.split(' ').skip(11).map(|field| field.parse::<u32>().ok());
    Some(times.next()?? + times.next()??)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_with_blanks_in_its_name_has_its_times_all_the_same() {
        let stat = "7 (wrk:worker 0) S 1 7 7 0 -1 4194560 10 0 0 0 250 50 0 0 20 0 3 0 9";

        assert_eq!(ticks(stat), Some(300));
        assert_eq!(ticks("7 (envoy) S 1"), None);
    }
}
