//! What is said of a RemoteCluster in its status.

use std::sync::Arc;

use redirector_core::Moment;
use redirector_policy::EncryptionMode;

use super::{
    desired::{ClusterCondition, ClusterStatus},
    heard::{Silence, State},
    news::Failure,
    remote::{Refusal, Remote},
    timing::Timing,
};

/// What is counted of a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Services that are imported.
    pub services: usize,
    /// Endpoints that are imported.
    pub endpoints: usize,
    /// Endpoints that are not, because they are outside its ranges.
    pub outside: usize,
    /// Services that are not, because of their namespaces.
    pub unchosen: usize,
}

/// The status of a cluster. `counts` are not known before everything of this cluster is.
pub(super) fn status(
    remote: &Remote,
    counts: Option<Counts>,
    local: &Arc<str>,
    now: Moment,
    timing: &Timing,
) -> ClusterStatus {
    ClusterStatus {
        phase: remote.phase(),
        services: counts.map(|counts| counts.services),
        endpoints: counts.map(|counts| counts.endpoints),
        generation: remote.object.generation,
        uid: remote.uid.clone(),
        local: Arc::clone(local),
        conditions: vec![
            accepted(remote),
            connected(remote),
            synced(remote, counts.unwrap_or_default(), now, timing),
            secure(remote),
        ],
    }
}

fn condition(
    kind: &'static str,
    status: Option<bool>,
    reason: &'static str,
    message: impl Into<String>,
) -> ClusterCondition {
    ClusterCondition { kind, status, reason, message: message.into() }
}

fn accepted(remote: &Remote) -> ClusterCondition {
    let no = |reason, message: String| condition("Accepted", Some(false), reason, message);
    let name = remote.name();
    if let Err(problems) = &remote.object.spec {
        let last =
            if remote.spec.is_some() { "; its last valid version stays in force" } else { "" };
        return no("Invalid", format!("{problems}{last}"));
    }
    if let Some(other) = &remote.other {
        let uid = remote.uid.as_deref().unwrap_or_default();
        return no(
            "IdentityChanged",
            format!(
                "cluster {other} answers under the name {name}, which is {uid}; if it was built anew, \
                 leave and join it again (redirector cluster leave {name})"
            ),
        );
    }
    match &remote.refusal {
        Some(refusal @ Refusal::Own) => no("OwnCluster", refusal.to_string()),
        Some(refusal @ Refusal::Same(_)) => no("DuplicateCluster", refusal.to_string()),
        Some(refusal @ Refusal::Overlap(_)) => no("CIDROverlap", refusal.to_string()),
        None => condition("Accepted", Some(true), "Accepted", ""),
    }
}

fn connected(remote: &Remote) -> ClusterCondition {
    let of = |status, reason, message: String| condition("Connected", status, reason, message);
    let name = remote.name();
    if !remote.is_ours() {
        let message = "it has no server: others discover its endpoints".to_owned();
        return of(None, "DiscoveredByOthers", message);
    }
    let failure = remote.failure.as_ref();
    // What is refused for longer than a moment stays so until an operator acts; see `Facts`.
    let is_refused = match (remote.state(), failure) {
        (State::Live, _) => false,
        (_, Some(Failure::Unauthorized(_))) => true,
        (state, _) => matches!(state, State::Silent { why: Silence::Unauthorized, .. }),
    };
    if is_refused {
        let why = match failure {
            Some(_) => said(failure),
            None => "its outbox may be read again, and is not yet heard in full",
        };
        let message = format!(
            "{why}; give it credentials that may read its outbox (redirector cluster join {name})"
        );
        return of(Some(false), "Unauthorized", message);
    }
    match (remote.state(), failure) {
        // A gap that is no silence is not said: all agents read the status.
        (State::Live, Some(_)) if remote.is_partly_heard => of(
            Some(true),
            "PartlyHeard",
            format!("{}; its heartbeat says that nothing is missed so far", said(failure)),
        ),
        (State::Live, _) => of(Some(true), "Connected", String::new()),
        // False in every silence: since when it is silent is read of this condition.
        (State::Silent { why: Silence::Incomplete, .. }, _) => {
            let why = failure.map(|_| format!("{}; ", said(failure))).unwrap_or_default();
            let message =
                "what is heard of it is not what its manifest says; see the condition Synced";
            of(Some(false), "Incomplete", format!("{why}{message}"))
        }
        (State::Silent { why: Silence::Identity, .. }, _) => of(
            Some(false),
            "IdentityChanged",
            "another cluster answers; see the condition Accepted".to_owned(),
        ),
        (State::Silent { why: Silence::ExporterSilent, .. }, _) | (State::Lost, None) => of(
            Some(false),
            "ExporterSilent",
            format!(
                "its API server answers, but Lease redirector-exports/redirector-heartbeat is not there \
                 or does not change; look at the Deployment redirector-clusters of {name}"
            ),
        ),
        (State::Joining, None) if remote.has_lease() => of(Some(true), "Connected", String::new()),
        (State::Joining, None) => {
            of(None, "Pending", "nothing has been heard of it yet".to_owned())
        }
        (State::Silent { .. } | State::Joining | State::Lost, _) => {
            let why = said(failure);
            let message = format!("{why}; look at spec.server, spec.caBundle and the way there");
            of(Some(false), "Unreachable", message)
        }
    }
}

fn said(failure: Option<&Failure>) -> &str {
    match failure {
        Some(Failure::Unreachable(why) | Failure::Unauthorized(why)) => why,
        None => "it does not answer",
    }
}

fn synced(remote: &Remote, counts: Counts, now: Moment, timing: &Timing) -> ClusterCondition {
    let of = |status, reason, message: String| condition("Synced", status, reason, message);
    if !remote.is_ours() {
        return of(None, "DiscoveredByOthers", String::new());
    }
    if let Some((name, why)) = remote.outbox.rejected() {
        return of(
            Some(false),
            "InvalidExport",
            format!("ExportedService redirector-exports/{name} there cannot be used: {why:.300}"),
        );
    }
    if let Some(why) = &remote.manifest_problem {
        return of(
            Some(false),
            "InvalidManifest",
            format!("Lease redirector-exports/redirector-heartbeat there: {why:.300}"),
        );
    }
    let is_joining = remote.state() == State::Joining && !remote.outbox.is_listed();
    if remote.outbox.is_incomplete(now, timing) && !is_joining {
        return of(
            Some(false),
            "Incomplete",
            "what is heard of its outbox is not what its manifest says, so nothing is removed; it is \
             listed again"
                .to_owned(),
        );
    }
    if !remote.outbox.is_proven() {
        return of(None, "Pending", "its outbox has not been heard in full yet".to_owned());
    }
    let mut notes = Vec::new();
    if counts.unchosen > 0 {
        let count = counts.unchosen;
        notes.push(format!(
            "{count} of its services are not imported: their namespaces do not exist here or are not \
             chosen by spec.namespaces"
        ));
    }
    if counts.outside > 0 {
        let count = counts.outside;
        notes.push(format!("{count} of its endpoints are left out: they are outside spec.cidrs"));
    }
    of(Some(true), "Synced", notes.join("; "))
}

fn secure(remote: &Remote) -> ClusterCondition {
    let of = |status, reason, message: &str| condition("Secure", status, reason, message);
    match remote.spec.as_ref().map(|spec| spec.spec().encryption.mode) {
        None => of(None, "NotAccepted", ""),
        Some(EncryptionMode::Off) => {
            of(Some(false), "Off", "spec.encryption.mode is Off: traffic may be in plain text")
        }
        Some(EncryptionMode::Report) => of(
            None,
            "NoGuard",
            "nothing on the nodes can tell whether the way there is encrypted; its endpoints are used \
             all the same",
        ),
        Some(EncryptionMode::Required) => of(
            None,
            "NoGuard",
            "nothing on the nodes can tell whether the way there is encrypted, so its endpoints stay \
             out; spec.encryption.mode Report or Off uses them",
        ),
    }
}
