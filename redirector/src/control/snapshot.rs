//! What explains some services as they were at one moment, away from the agent's task: that has news
//! to take in meanwhile.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use redirector_core::{
    Moment, State,
    explain::{Explanation, NotInstalled},
    input::Drained,
    service::{BackendRef, ServiceRef},
    state::IfSilent,
};

use super::there_are;

/// Said of a backend of this node of which the kernel does not know who serves it.
const UNWATCHED: &str = "who listens there is not known (it has accepted no connection since the \
                         programs were loaded, or they watch no listeners: `redirector check`): the \
                         end of its listener would be seen by failing connects and probes";

/// Some services, and what the agent knows of them.
#[derive(Debug)]
pub struct Snapshot {
    /// What the state knows of them.
    pub state: State,
    /// When that was.
    pub now: Moment,
    /// Which services are to be explained: the state has those of their tiers too.
    pub services: Vec<ServiceRef>,
    /// What of this node's programs and maps is gone.
    pub lost: Option<Arc<str>>,
    /// Those of the services that the kernel does not have as the sources say.
    pub not_installed: BTreeMap<ServiceRef, NotInstalled>,
    /// Backends of this node of which the kernel does not know who serves them.
    pub unserved: BTreeSet<BackendRef>,
}

impl Snapshot {
    /// Explains its services, in their order.
    pub(super) fn explain(&self) -> impl Iterator<Item = Explanation> {
        self.services.iter().filter_map(|service| self.explain_one(service))
    }

    /// The same, if these were dead.
    pub(super) fn with_dead(self, dead: &BTreeSet<BackendRef>) -> Self {
        Self { state: self.state.with_dead(dead), ..self }
    }

    /// The same, if these were out because their cluster is silent.
    pub(super) fn with_silent(self, out: &BTreeSet<BackendRef>) -> Self {
        Self { state: self.state.with_silent(out), ..self }
    }

    fn explain_one(&self, service: &ServiceRef) -> Option<Explanation> {
        let mut told = self.state.explain(service, self.now)?;
        told.not_in_force.clone_from(&self.lost);
        told.not_installed = self.not_installed.get(service).cloned();
        let tiers = told.families.iter_mut().flat_map(|family| &mut family.tiers);
        for member in tiers.flat_map(|tier| &mut tier.backends) {
            let is_unserved = self.unserved.contains(&member.backend);
            member.unwatched = is_unserved.then(|| UNWATCHED.to_owned());
        }
        Some(told)
    }
}

/// Backends that these snapshots, of all services there are, list where any of these is. The error
/// says which one is nowhere, and what there is of its kind.
pub(super) fn meant(
    snapshots: &[Snapshot],
    what: &[Drained],
) -> Result<BTreeSet<BackendRef>, String> {
    let mut meant = BTreeSet::new();
    for subject in what {
        let subjects = std::slice::from_ref(subject);
        let found: BTreeSet<BackendRef> =
            snapshots.iter().flat_map(|snapshot| snapshot.state.meant(subjects)).collect();
        if found.is_empty() {
            let like = snapshots.iter().flat_map(|snapshot| snapshot.state.like(subject));
            return Err(nowhere(subject, &like.collect()));
        }
        meant.extend(found);
    }
    Ok(meant)
}

/// Backends that would be out if these clusters were silent. The error says which one is none, or the
/// agent's own.
pub(super) fn silenced(
    snapshots: &[Snapshot],
    clusters: &[Drained],
) -> Result<BTreeSet<BackendRef>, String> {
    let mut out = BTreeSet::new();
    for subject in clusters {
        let Drained::Cluster(name) = subject else {
            return Err(format!("{subject} is no cluster: only clusters are silent"));
        };
        let own = snapshots.iter().find_map(|snapshot| snapshot.state.node().cluster.as_ref());
        if own == Some(name) {
            return Err(format!(
                "cluster {name} is this node's own, which is not silent to itself"
            ));
        }
        let seen = snapshots.iter().map(|snapshot| snapshot.state.if_silent(name));
        let seen = seen.reduce(IfSilent::and).filter(|seen| !seen.backends.is_empty());
        let Some(seen) = seen else {
            let like = snapshots.iter().flat_map(|snapshot| snapshot.state.like(subject));
            return Err(nowhere(subject, &like.collect()));
        };
        out.extend(seen.out());
    }
    Ok(out)
}

/// That no service has a backend there, and where some have.
#[must_use]
pub fn nowhere(subject: &Drained, like: &BTreeSet<Drained>) -> String {
    let others = there_are(&subject.to_string(), like.iter().map(ToString::to_string));
    format!("no service has a backend at {subject}{others}")
}
