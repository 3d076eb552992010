//! Validates what the owner of a service declared: policy, probe and affinity.

use std::{fmt, time::Duration};

use redirector_common::AllDown;
use redirector_core::service::{Mode, Policy, Probe, ProbeKind, Protocol};

use super::{
    at::{Position, Text},
    invalid::Problems,
    schema,
};

/// Kubernetes' default for `sessionAffinityConfig.clientIP.timeoutSeconds`.
const AFFINITY_SECONDS: u32 = 10_800;
/// Kubernetes' maximum of the same.
const MAX_AFFINITY: Duration = Duration::from_hours(24);

/// The policy of `service`, whose protocol is known. Without a word about it, TCP is probed.
pub(super) fn policy(
    written: Option<&schema::Policy>,
    protocol: Protocol,
    service: &str,
    problems: &mut Problems,
) -> Policy {
    let default_probe = (protocol == Protocol::Tcp).then(Probe::default);
    let Some(written) = written else {
        return Policy { probe: default_probe, ..Policy::default() };
    };
    refuse_later_fields(written, service, problems);
    let mut policy = Policy { probe: default_probe, ..Policy::default() };
    if let Some(mode) = &written.mode {
        match mode.value.as_str() {
            "LastResort" => policy.mode = Mode::LastResort,
            "Spill" | "Threshold" => problems.add(
                mode.position,
                format_args!(
                    "{service}: mode {mode} is not in this version, which knows only LastResort"
                ),
            ),
            _ => problems.add(
                mode.position,
                format_args!("{service}: mode {mode:?} is unknown; use LastResort"),
            ),
        }
    }
    if let Some(all_down) = &written.all_down {
        match all_down.value.as_str() {
            "Panic" => policy.all_down = AllDown::Panic,
            "Refuse" => policy.all_down = AllDown::Refuse,
            "PassThrough" => policy.all_down = AllDown::PassThrough,
            _ => problems.add(
                all_down.position,
                format_args!(
                    "{service}: allDown {all_down:?} is unknown; use Panic, Refuse or PassThrough"
                ),
            ),
        }
    }
    if let Some(choice) = &written.probe {
        match (&choice.value, protocol) {
            (schema::ProbeChoice::Off, _) => policy.probe = None,
            (schema::ProbeChoice::Word(word), _) => problems.add(
                choice.position,
                format_args!(
                    "{service}: probe {word:?} is unknown; use off or {{interval: 1s, timeout: 500ms}}"
                ),
            ),
            (schema::ProbeChoice::On(written), Protocol::Tcp) => {
                policy.probe = Some(probe(written, service, problems));
            }
            (schema::ProbeChoice::On(_), Protocol::Udp) => problems.add(
                choice.position,
                format_args!("{service}: a UDP service cannot be probed; remove the probe"),
            ),
        }
    }
    policy
}

/// Seconds of session affinity of `service`.
pub(super) fn affinity(
    written: Option<&schema::Affinity>,
    service: &str,
    problems: &mut Problems,
) -> Option<u32> {
    let timeout = &written?.timeout;
    let Some(timeout) = timeout else { return Some(AFFINITY_SECONDS) };
    let one = Duration::from_secs(1);
    let found =
        duration(timeout, one..=MAX_AFFINITY, Field { service, name: "timeout" }, problems)?;
    if found.subsec_nanos() != 0 {
        problems.add(
            timeout.position,
            format_args!("{service}: timeout {timeout} is not in whole seconds"),
        );
    }
    u32::try_from(found.as_secs()).ok()
}

fn probe(written: &schema::Probe, service: &str, problems: &mut Problems) -> Probe {
    let schema::Probe { tcp: _, interval, timeout, unhealthy, healthy, http, grpc } = written;
    for (name, field) in [("http", http), ("grpc", grpc)] {
        if let Some(field) = field {
            refuse_later(field.position, &format!("probe.{name}"), service, problems);
        }
    }
    let mut milliseconds = |text: Option<&Text>, name, from_ms, to_ms| {
        let range = Duration::from_millis(from_ms)..=Duration::from_millis(to_ms);
        let found = duration(text?, range, Field { service, name }, problems)?;
        u32::try_from(found.as_millis()).ok()
    };
    let default = Probe::default();
    let interval_ms = milliseconds(interval.as_ref(), "interval", 100, 3_600_000);
    let timeout_ms = milliseconds(timeout.as_ref(), "timeout", 10, 60_000);
    let effective_interval = interval_ms.unwrap_or(default.interval_ms);
    if let (Some(text), Some(ms)) = (timeout, timeout_ms)
        && ms > effective_interval
    {
        let interval = humantime::format_duration(Duration::from_millis(effective_interval.into()));
        problems.add(
            text.position,
            format_args!("{service}: timeout {text} is above the interval of {interval}"),
        );
    }
    let mut count = |text: Option<&Text>, name, default| {
        let Some(text) = text else { return default };
        match text.value.parse() {
            Ok(count @ 1..=100) => count,
            _ => {
                let message = format_args!("{service}: {name} {text} is not between 1 and 100");
                problems.add(text.position, message);
                default
            }
        }
    };
    Probe {
        kind: ProbeKind::Tcp,
        port: None,
        unhealthy: count(unhealthy.as_ref(), "unhealthy", default.unhealthy),
        healthy: count(healthy.as_ref(), "healthy", default.healthy),
        interval_ms: effective_interval,
        timeout_ms: timeout_ms.unwrap_or(default.timeout_ms.min(effective_interval)),
    }
}

fn refuse_later_fields(written: &schema::Policy, service: &str, problems: &mut Problems) {
    let schema::Policy {
        mode: _,
        all_down: _,
        probe: _,
        tiers,
        overprovisioning_percent,
        min_healthy_percent,
        failback,
        connect_timeout,
        on_backend_lost,
        passive,
    } = written;
    let later = [
        ("tiers", tiers),
        ("overprovisioningPercent", overprovisioning_percent),
        ("minHealthyPercent", min_healthy_percent),
        ("failback", failback),
        ("connectTimeout", connect_timeout),
        ("onBackendLost", on_backend_lost),
        ("passive", passive),
    ];
    for (name, field) in later {
        if let Some(field) = field {
            refuse_later(field.position, name, service, problems);
        }
    }
}

fn refuse_later(position: Position, name: &str, service: &str, problems: &mut Problems) {
    problems.add(
        position,
        format_args!(
            "{service}: {name} is not in this version, which knows only mode LastResort, \
             allDown and a TCP probe; remove it"
        ),
    );
}

/// Which field a duration belongs to.
struct Field<'a> {
    service: &'a str,
    name: &'static str,
}

impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.service, self.name)
    }
}

fn duration(
    text: &Text,
    range: std::ops::RangeInclusive<Duration>,
    field: Field<'_>,
    problems: &mut Problems,
) -> Option<Duration> {
    match humantime::parse_duration(&text.value) {
        Ok(found) if range.contains(&found) => return Some(found),
        Ok(_) => {
            let [from, to] =
                [range.start(), range.end()].map(|end| humantime::format_duration(*end));
            problems
                .add(text.position, format_args!("{field} {text} is not between {from} and {to}"));
        }
        Err(_) => problems.add(
            text.position,
            format_args!("{field} {text:?} is no duration such as 500ms, 1s or 3h"),
        ),
    }
    None
}
