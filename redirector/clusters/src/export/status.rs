//! What a ServiceExport's status says of its export here (KEP-1645): Valid and Ready. Whether clusters
//! are in conflict is the importer's to say, in the same status.

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};
use redirector_kube::api::ObjectRef;

use crate::api::ServiceExport;

/// What became of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportState {
    /// Its Service is in the outbox, or is about to be.
    Valid,
    /// There is no Service of that name.
    NoService,
    /// The Service is an ExternalName.
    InvalidServiceType,
}

/// A condition, without its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportCondition {
    /// `Valid`, `Ready` or `Conflict`.
    pub kind: &'static str,
    /// Whether it holds.
    pub holds: bool,
    /// One word, or words joined by commas.
    pub reason: String,
    /// For people.
    pub message: String,
}

/// Bytes of a message, at most.
const MAX_MESSAGE: usize = 1_024;

/// Valid and Ready of an export; `is_written`: the outbox has it as it should be.
#[must_use]
pub fn conditions(
    export: &ServiceExport,
    state: ExportState,
    is_written: bool,
) -> Vec<ExportCondition> {
    let ObjectRef { namespace, name } = &export.object;
    let (reason, why) = match state {
        ExportState::Valid => ("Valid", export.odd.clone().unwrap_or_default()),
        ExportState::NoService => (
            "NoService",
            format!("there is no Service {namespace}/{name}; it is exported as soon as there is"),
        ),
        ExportState::InvalidServiceType => (
            "InvalidServiceType",
            format!(
                "Service {namespace}/{name} is of type ExternalName, which has no endpoints; \
                 export the Service that it names"
            ),
        ),
    };
    let is_valid = state == ExportState::Valid;
    let condition = |kind, holds, reason: &str, message| ExportCondition {
        kind,
        holds,
        reason: reason.to_owned(),
        message,
    };
    let ready = match (is_valid, is_written) {
        (true, true) => condition("Ready", true, "Exported", String::new()),
        (true, false) => condition("Ready", false, "Pending", "not yet in the outbox".to_owned()),
        (false, _) => condition("Ready", false, "Failed", "it is not exported".to_owned()),
    };
    vec![condition("Valid", is_valid, reason, why), ready]
}

/// The conditions that should stand there: those given, with the time of the last one where they say the
/// same, and those of other kinds as they are. `None`: they stand there already.
#[must_use]
pub fn written(
    export: &ServiceExport,
    wanted: &[ExportCondition],
    now: Timestamp,
) -> Option<Vec<Condition>> {
    let mut is_new = false;
    let mut conditions: Vec<Condition> = Vec::new();
    let is_ours = |condition: &Condition| wanted.iter().any(|one| one.kind == condition.type_);
    conditions.extend(export.conditions.iter().filter(|one| !is_ours(one)).cloned());
    for ExportCondition { kind, holds, reason, message } in wanted {
        let status = if *holds { "True" } else { "False" };
        let message = &message[..message.floor_char_boundary(MAX_MESSAGE)];
        let before = export.conditions.iter().find(|one| one.type_ == *kind);
        let since = before.filter(|one| one.status == status);
        let condition = Condition {
            type_: (*kind).to_owned(),
            status: status.to_owned(),
            reason: reason.clone(),
            message: message.to_owned(),
            observed_generation: Some(export.generation),
            last_transition_time: since.map_or(Time(now), |one| one.last_transition_time.clone()),
        };
        is_new |= before != Some(&condition);
        conditions.push(condition);
    }
    is_new.then_some(conditions)
}
