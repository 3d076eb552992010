//! The Lease `redirector-report`: the election's questions to the API server.

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference},
};

use super::{
    Shared,
    election::{Action, Claim, Election, Held, Written},
    owner::OwnerRef,
    timing::Timing,
    wire::wall,
};
use crate::client::{Client, Effect, Error};

/// Name of the Lease, which is in the agent's namespace.
pub const LEASE: &str = "redirector-report";

/// A Lease, and who stands for it.
pub(super) struct Post<'p> {
    pub(super) client: &'p Client,
    pub(super) namespace: &'p str,
    pub(super) name: &'p str,
    /// Who holds it: one candidate alone has this name.
    pub(super) holder: &'p str,
    pub(super) timing: &'p Timing,
    /// The DaemonSet that owns the Lease.
    pub(super) owner: Option<&'p OwnerRef>,
}

/// Takes part in the election for ever.
pub(super) async fn elect(shared: &Shared) {
    let identity = &shared.identity;
    let mut election = Election::new(identity.node.clone(), shared.timing.clone());
    // The last version read or written whole, so that nothing of it is lost in an update.
    let mut lease = None;
    loop {
        let owner = shared.owner.get();
        let nodes = owner.map_or(0, |owner| owner.nodes);
        election.set_poll(shared.timing.poll(&identity.node, nodes));
        let post = Post {
            client: &shared.client,
            namespace: &identity.namespace,
            name: LEASE,
            holder: &identity.node,
            timing: &shared.timing,
            owner,
        };
        match election.next(shared.now(), wall()) {
            Action::Wait(until) => shared.sleep_until(until).await,
            asked => {
                let now = || shared.now();
                if let Err((what, error)) = post.act(asked, &mut election, &mut lease, now).await {
                    shared.failed(what, &error);
                }
            }
        }
        shared.leads(election.leads_until(), election.led_by_other());
    }
}

impl Post<'_> {
    /// Reads or writes the Lease, as the election wants, and tells it what came of that.
    ///
    /// Errors: what could not be done, and why; the election knows it already.
    pub(super) async fn act(
        &self,
        action: Action,
        election: &mut Election,
        lease: &mut Option<Lease>,
        now: impl Fn() -> redirector_core::Moment,
    ) -> Result<(), (&'static str, Error)> {
        match action {
            Action::Wait(_) => Ok(()),
            Action::Read { exact } => {
                let answer = self.read(exact).await;
                let held = answer.as_ref().map(|lease| lease.as_ref().map(held));
                election.read(held.map_err(drop), now(), rand::random());
                *lease = match answer {
                    Ok(found) => found.or(lease.take()),
                    Err(error) => return Err(("cannot read the Lease", error)),
                };
                Ok(())
            }
            Action::Write(claim) => {
                let (written, answer) = self.write(&claim, lease.as_ref()).await;
                election.written(claim, written, now(), rand::random());
                if let Some(new) = answer.map_err(|error| ("cannot write the Lease", error))? {
                    *lease = Some(new);
                }
                Ok(())
            }
        }
    }

    async fn read(&self, exact: bool) -> Result<Option<Lease>, Error> {
        let query = if exact { "" } else { "?resourceVersion=0" };
        let path = format!("{}/{}{query}", self.collection(), self.name);
        match self.client.get(&path).await.and_then(|answer| answer.object()) {
            Ok(lease) => Ok(Some(lease)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn write(
        &self,
        claim: &Claim,
        old: Option<&Lease>,
    ) -> (Written, Result<Option<Lease>, Error>) {
        let collection = self.collection();
        let lease = self.claimed(claim, old);
        let answer = match &claim.over {
            None => self.client.post(&collection, &lease).await,
            Some(_) => self.client.put(&format!("{collection}/{}", self.name), &lease).await,
        };
        match answer.and_then(|answer| answer.object::<Lease>()) {
            Ok(lease) => (Written::Done(held(&lease).version), Ok(Some(lease))),
            Err(Error::Conflict { .. } | Error::NotFound { .. }) => (Written::Refused, Ok(None)),
            Err(error) => {
                let written = match error.kind().effect() {
                    Effect::Never => Written::Failed,
                    Effect::NotYet | Effect::Unknown => Written::Unknown,
                };
                (written, Err(error))
            }
        }
    }

    /// Gives the Lease back, if it is still the version given: another one may take it at once.
    pub(super) async fn release(&self, lease: Lease) -> Result<(), Error> {
        let mut lease = lease;
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = Some(String::new());
        let path = format!("{}/{}", self.collection(), self.name);
        self.client.put(&path, &lease).await.map(drop)
    }

    /// The Lease as it is, but for what the claim says.
    fn claimed(&self, claim: &Claim, old: Option<&Lease>) -> Lease {
        let mut lease = match (&claim.over, old) {
            (Some(_), Some(old)) => old.clone(),
            _ => Lease::default(),
        };
        let metadata = ObjectMeta {
            name: Some(self.name.to_owned()),
            namespace: Some(self.namespace.to_owned()),
            resource_version: claim.over.clone(),
            owner_references: owners(self.owner, lease.metadata.owner_references),
            ..lease.metadata
        };
        let old = lease.spec.take().unwrap_or_default();
        let stamp = Some(MicroTime(claim.stamp));
        let seconds = self.timing.lease.as_secs_f64().ceil();
        let spec = LeaseSpec {
            holder_identity: Some(self.holder.to_owned()),
            #[expect(clippy::cast_possible_truncation, reason = "15 by default")]
            lease_duration_seconds: Some(seconds as i32),
            lease_transitions: Some(claim.transitions),
            acquire_time: if claim.is_new { stamp.clone() } else { old.acquire_time.clone() },
            renew_time: stamp,
            ..old
        };
        Lease { metadata, spec: Some(spec) }
    }

    fn collection(&self) -> String {
        format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", self.namespace)
    }
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
