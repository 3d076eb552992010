//! HAProxy in TCP mode: the clients' zone serves, the other zones are backups.

use std::fmt::Write as _;

use crate::race::cast::{Member, PROXY};

/// With `tuned`: HTTP checks, failures of clients as evidence, times near those of our probes at
/// their quickest. Without: the timeouts of Debian's `haproxy.cfg`, and checks as `check` alone
/// means them (TCP, every 2 s, 3 failures, 2 successes).
pub(in crate::race) fn text(tuned: bool) -> String {
    let (timeout, options, server) = if tuned {
        (
            "300ms",
            "  option redispatch 1\n  retries 3\n  option httpchk GET /healthz\n  \
             timeout check 250ms\n  default-server inter 250ms fastinter 100ms downinter 250ms fall 2 \
             rise 2 observe layer4 error-limit 1 on-error mark-down on-marked-down shutdown-sessions\n",
            "check",
        )
    } else {
        ("5000", "", "check")
    };
    let mut text = format!(
        "global\n  log /dev/null local0\n\
         defaults\n  mode tcp\n  timeout connect {timeout}\n  timeout client 50000\n  \
         timeout server 50000\n\
         listen checkout\n  bind {PROXY}\n  balance roundrobin\n  option allbackups\n{options}"
    );
    for member in Member::all() {
        let (name, address) = (member.name(), member.address());
        let backup = if member.is_near() { "" } else { " backup" };
        let _ = writeln!(text, "  server {name} {address} {server}{backup}");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command};

    use super::*;
    use crate::process;

    #[test]
    fn only_other_zones_are_backups() {
        let text = text(false);
        let backups = text.lines().filter(|line| line.ends_with(" backup")).count();

        assert_eq!(backups, 6);
        assert!(text.contains("server a3 10.77.3.1:8080 check\n"), "{text}");
    }

    #[test]
    fn haproxy_takes_the_configurations() {
        let Some(haproxy) = process::find("haproxy") else { return };
        for tuned in [false, true] {
            let file =
                std::env::temp_dir().join(format!("race-{}-{tuned}.cfg", std::process::id()));
            fs::write(&file, text(tuned)).expect("a file");
            let output = Command::new(&haproxy).args(["-c", "-q", "-f"]).arg(&file).output();
            fs::remove_file(&file).expect("it is there");
            let output = output.expect("haproxy runs");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
    }
}
