//! Validates what the owner of a service declared: policy, probe and affinity.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use redirector_core::service::{Backend, Frontend, Policy, Probe, Protocol, ServiceRef};

use super::{
    fields::Fields,
    names,
    problems::Problems,
    schema::Reading,
    tree::{Position, Text, Tree},
    validate::Validation,
};
use redirector_policy::{FailoverPolicySpec, Field, TierServiceSpec, schema as policy_schema};

/// Kubernetes' default for `sessionAffinityConfig.clientIP.timeoutSeconds`.
const AFFINITY_SECONDS: u32 = 10_800;
/// Kubernetes' maximum of the same.
const MAX_AFFINITY: Duration = Duration::from_hours(24);

/// The service whose policy is read.
pub(super) struct Owner<'a> {
    pub name: &'a ServiceRef,
    /// How messages name it.
    pub label: &'a str,
    pub protocol: Protocol,
}

/// The policy of a service. Without a word about it, TCP is probed.
pub(super) fn policy(
    written: Option<&Tree<'_>>,
    owner: &Owner<'_>,
    problems: &mut Problems,
) -> Policy {
    let default_probe = (owner.protocol == Protocol::Tcp).then(Probe::default);
    let default = Policy { probe: default_probe.clone(), ..Policy::default() };
    let Some(written) = written else { return default };
    let choice = choice(written, owner, problems);
    let skipped = matches!(choice, Choice::Off).then_some("probe");
    let before = problems.count();
    let mut reading = Reading { label: owner.label, whole: "policy", skipped, problems };
    let Some(spec) = spec(written, &mut reading) else { return default };
    // What is not of its form was left out, and that is a problem already, not another one.
    let misshapen: BTreeSet<Position> = reading.problems.since(before).collect();
    let (policy, wrong) = spec.convert(owner.name, refer);
    for problem in wrong {
        let at = written.at(&problem.field);
        if !at.has_any(&misshapen) {
            reading.add(at.position, &problem.field, &problem.message);
        }
    }
    match choice {
        Choice::Default => Policy { probe: default_probe, ..policy },
        Choice::Off | Choice::On => policy,
    }
}

/// Refuses a probe of a port that is a frontend: it would be redirected, so say nothing about the
/// backend, and count as a connect of an application.
pub(super) fn refuse_redirected_probe(
    policy: &Policy,
    written: Option<&Tree<'_>>,
    backends: &[Backend],
    label: &str,
    validation: &mut Validation,
) {
    let (Some(written), Some(Probe { port: Some(port), .. })) = (written, &policy.probe) else {
        return;
    };
    let Validation { frontends, problems, .. } = validation;
    let probe = Field::default().field("probe");
    let kind = if written.field("probe").is_some_and(|probe| probe.field("http").is_some()) {
        "http"
    } else {
        "grpc"
    };
    let position = written.at(&probe.field(kind).field("port")).position;
    for Backend { backend, .. } in backends {
        let dialled = Frontend { address: backend.address, port: *port, protocol: Protocol::Tcp };
        let Some((at, owner)) = frontends.get(&dialled) else { continue };
        problems.add(
            position,
            format_args!(
                "{label}: port {port} of backend {backend} is a frontend, that of service \
                 {owner:?} at line {}; probe a port that only the backend has",
                at.line
            ),
        );
    }
}

/// What is written about the probe.
enum Choice {
    Default,
    Off,
    On,
}

/// In the file, a probe may be `off` where a `FailoverPolicy` just has none.
fn choice(written: &Tree<'_>, owner: &Owner<'_>, problems: &mut Problems) -> Choice {
    let Owner { label, protocol, .. } = owner;
    let Some(probe) = written.field("probe") else { return Choice::Default };
    match (probe.text(), protocol) {
        (Some(word), _) if word.value == "off" => Choice::Off,
        (Some(word), _) => {
            problems.add(
                word.position,
                format_args!(
                    "{label}: probe {word:?} is unknown; use off or {{interval: 1s, timeout: 500ms}}"
                ),
            );
            Choice::Off
        }
        (None, Protocol::Tcp) => Choice::On,
        (None, Protocol::Udp) => {
            problems.add(
                probe.position,
                format_args!("{label}: a UDP service cannot be probed; remove the probe"),
            );
            Choice::On
        }
    }
}

/// The fields as they are written, without those that are not of their form; `None` if it is no
/// policy at all.
fn spec(written: &Tree<'_>, reading: &mut Reading<'_>) -> Option<FailoverPolicySpec> {
    let before = reading.problems.count();
    let root = Field::default();
    let value = reading.value(written, policy_schema(), &root)?;
    match serde_json::from_value(value) {
        Ok(spec) => Some(spec),
        // Because of what was left out.
        Err(_) if reading.problems.count() > before => None,
        Err(error) => {
            reading.add(written.position, &root, format_args!("is none: {error}"));
            None
        }
    }
}

/// A service of the file is one port, so a tier names it as it is listed: `name`, or `name:port`
/// where a port is given. It may be listed further down, later, or never.
fn refer(service: &TierServiceSpec) -> Result<ServiceRef, String> {
    let TierServiceSpec { name, port } = service;
    let listed = port.as_ref().map_or_else(|| name.clone(), |port| format!("{name}:{port}"));
    match names::objection(&listed) {
        Some(why) => Err(why),
        None => Ok(ServiceRef(Arc::from(listed))),
    }
}

/// Seconds of session affinity of `service`.
pub(super) fn affinity(
    written: Option<&Tree<'_>>,
    service: &str,
    problems: &mut Problems,
) -> Option<u32> {
    let fields = Fields::of(written?, &["timeout"], problems)?;
    let Some(timeout) = fields.text("timeout", problems).ok()? else {
        return Some(AFFINITY_SECONDS);
    };
    seconds(timeout)
        .map_err(|why| problems.add(timeout.position, format_args!("{service}: timeout {why}")))
        .ok()
}

fn seconds(text: Text<'_>) -> Result<u32, String> {
    let Ok(found) = humantime::parse_duration(text.value) else {
        return Err(format!("{text:?} is no duration such as 500ms, 1s or 3h"));
    };
    if !(Duration::from_secs(1)..=MAX_AFFINITY).contains(&found) {
        return Err(format!("{text} is not between 1s and 1day"));
    }
    if found.subsec_nanos() != 0 {
        return Err(format!("{text} is not in whole seconds"));
    }
    Ok(found.as_secs() as u32)
}
