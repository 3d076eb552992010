//! The Lease `redirector-report`: the election's questions to the API server.

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference},
};

use super::{
    Shared,
    election::{Action, Claim, Election, Held, Written},
    owner::OwnerRef,
    wire::wall,
};
use crate::client::{Effect, Error};

/// Name of the Lease, which is in the agent's namespace.
pub const LEASE: &str = "redirector-report";

/// Takes part in the election for ever.
pub(super) async fn elect(shared: &Shared) {
    let identity = &shared.identity;
    let mut election = Election::new(identity.node.clone(), shared.timing.clone());
    // The last version read or written whole, so that nothing of it is lost in an update.
    let mut lease = None;
    loop {
        let nodes = shared.owner.get().map_or(0, |owner| owner.nodes);
        election.set_poll(shared.timing.poll(&identity.node, nodes));
        match election.next(shared.now(), wall()) {
            Action::Wait(until) => shared.sleep_until(until).await,
            Action::Read { exact } => {
                let answer = read(shared, exact).await;
                let held = answer.as_ref().map(|lease| lease.as_ref().map(held));
                election.read(held.map_err(drop), shared.now(), rand::random());
                lease = answer.ok().flatten().or(lease);
            }
            Action::Write(claim) => {
                let (written, new) = write(shared, &claim, lease.as_ref()).await;
                election.written(claim, written, shared.now(), rand::random());
                lease = new.or(lease);
            }
        }
        shared.leads(election.leads_until(), election.led_by_other());
    }
}

async fn read(shared: &Shared, exact: bool) -> Result<Option<Lease>, ()> {
    let query = if exact { "" } else { "?resourceVersion=0" };
    let path = format!("{}/{LEASE}{query}", collection(shared));
    match shared.client.get(&path).await.and_then(|answer| answer.object()) {
        Ok(lease) => Ok(Some(lease)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => {
            shared.failed("cannot read the Lease", &error);
            Err(())
        }
    }
}

async fn write(shared: &Shared, claim: &Claim, old: Option<&Lease>) -> (Written, Option<Lease>) {
    let collection = collection(shared);
    let lease = claimed(shared, claim, old);
    let answer = match &claim.over {
        None => shared.client.post(&collection, &lease).await,
        Some(_) => shared.client.put(&format!("{collection}/{LEASE}"), &lease).await,
    };
    match answer.and_then(|answer| answer.object::<Lease>()) {
        Ok(lease) => (Written::Done(held(&lease).version), Some(lease)),
        Err(Error::Conflict { .. } | Error::NotFound { .. }) => (Written::Refused, None),
        Err(error) => {
            shared.failed("cannot write the Lease", &error);
            let written = match error.kind().effect() {
                Effect::Never => Written::Failed,
                Effect::NotYet | Effect::Unknown => Written::Unknown,
            };
            (written, None)
        }
    }
}

/// The Lease as it is, but for what the claim says.
fn claimed(shared: &Shared, claim: &Claim, old: Option<&Lease>) -> Lease {
    let identity = &shared.identity;
    let mut lease = match (&claim.over, old) {
        (Some(_), Some(old)) => old.clone(),
        _ => Lease::default(),
    };
    let metadata = ObjectMeta {
        name: Some(LEASE.to_owned()),
        namespace: Some(identity.namespace.to_string()),
        resource_version: claim.over.clone(),
        owner_references: owners(shared.owner.get(), lease.metadata.owner_references),
        ..lease.metadata
    };
    let old = lease.spec.take().unwrap_or_default();
    let stamp = Some(MicroTime(claim.stamp));
    let seconds = shared.timing.lease.as_secs_f64().ceil();
    let spec = LeaseSpec {
        holder_identity: Some(identity.node.to_string()),
        #[expect(clippy::cast_possible_truncation, reason = "15 by default")]
        lease_duration_seconds: Some(seconds as i32),
        lease_transitions: Some(claim.transitions),
        acquire_time: if claim.is_new { stamp.clone() } else { old.acquire_time.clone() },
        renew_time: stamp,
        ..old
    };
    Lease { metadata, spec: Some(spec) }
}

/// The agent's DaemonSet in the place of an earlier one, and owners of other kinds.
fn owners(
    ours: Option<&OwnerRef>,
    old: Option<Vec<OwnerReference>>,
) -> Option<Vec<OwnerReference>> {
    let Some(ours) = ours else { return old };
    let mut owners = old.unwrap_or_default();
    owners.retain(|owner| owner.kind != "DaemonSet");
    owners.push(OwnerReference {
        api_version: "apps/v1".to_owned(),
        kind: "DaemonSet".to_owned(),
        name: ours.name.clone(),
        uid: ours.uid.clone(),
        ..OwnerReference::default()
    });
    Some(owners)
}

fn held(lease: &Lease) -> Held {
    let spec = lease.spec.clone().unwrap_or_default();
    Held {
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
        holder: spec.holder_identity.unwrap_or_default(),
        renewed: spec.renew_time.map(|MicroTime(at)| at),
        transitions: spec.lease_transitions.unwrap_or_default(),
    }
}

fn collection(shared: &Shared) -> String {
    let namespace = &shared.identity.namespace;
    format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases")
}
