//! Which policy holds for which service, and what is to be said about it. Pure.
//!
//! Of several policies for one Service the oldest holds, by `metadata.creationTimestamp`, then by
//! name (Gateway API, GEP-713, "Conflict Resolution"). It is decided per Service: a policy with
//! several targets may hold for some of them, and is accepted if it holds for any.
//!
//! A version that is invalid changes nothing: the last good one of the same object stays in force,
//! also in the order among several. Nothing is remembered across a restart: until it is put right,
//! an agent that starts later knows no good version of it.

mod condition;
mod crd;
mod facts;
mod resolved;
mod status;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::api::{Batch, Change, FailoverPolicy, ObjectRef};

pub use condition::{Condition, ConditionKind, MAX_MESSAGE, PolicyStatus, reason};
pub use crd::{
    Definition, GROUP, KIND, PLURAL, VERSION, age, column, condition, crd, crd_yaml,
    remote_cluster_crd, yaml,
};
pub use facts::{ClusterTrouble, Facts, PortHealth, ServiceState, TierState};
pub use resolved::Resolved;

/// Every policy that there is.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    known: BTreeMap<ObjectRef, PolicyVersions>,
    /// The policies for a Service; the first one holds.
    claims: BTreeMap<ObjectRef, BTreeSet<Claim>>,
    is_synced: bool,
}

/// One policy.
#[derive(Clone, Debug)]
struct PolicyVersions {
    /// `metadata.generation` of its newest version.
    generation: i64,
    /// What is wrong with its newest version.
    problem: Option<Arc<str>>,
    /// Its last good version.
    good: Option<Resolved>,
}

/// The order among the policies for one Service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    created: i64,
    policy: ObjectRef,
}

impl Policies {
    /// Takes in what a watch has said. Returned are the Services for which another policy holds
    /// now, or another version of it, or none any more.
    pub fn take(&mut self, batch: Batch<FailoverPolicy>) -> BTreeSet<ObjectRef> {
        let Batch { changes, is_synced } = batch;
        let mut before = BTreeMap::new();
        for change in changes {
            match change {
                Change::Put(policy) => self.put(policy, &mut before),
                Change::Remove(policy) => self.replace(&policy, None, &mut before),
                Change::Rejected { object, why } => self.reject(object, why.into()),
            }
        }
        self.is_synced |= is_synced;
        let is_same =
            |service: &ObjectRef, before: Option<&Resolved>| match (before, self.of(service)) {
                (Some(before), Some(now)) => before.is_same(now),
                (before, now) => before.is_none() && now.is_none(),
            };
        let changed = before.iter().filter(|(service, one)| !is_same(service, one.as_ref()));
        changed.map(|(service, _)| service.clone()).collect()
    }

    /// The policy that holds for a Service.
    #[must_use]
    pub fn of(&self, service: &ObjectRef) -> Option<&Resolved> {
        let Claim { policy, .. } = self.claims.get(service)?.first()?;
        self.known.get(policy)?.good.as_ref()
    }

    /// Policies whose newest version is invalid: why, and what is in force instead.
    pub fn invalid(&self) -> impl Iterator<Item = (&ObjectRef, String)> {
        self.known.iter().filter_map(|(policy, known)| {
            let why = known.problem.as_ref()?;
            let instead = known.good.as_ref().map_or_else(
                || "nothing of it is in force".to_owned(),
                |good| format!("generation {} stays in force", good.generation),
            );
            Some((policy, format!("the FailoverPolicy is invalid: {why}; {instead}")))
        })
    }

    /// Whether any policy names clusters.
    #[must_use]
    pub fn name_clusters(&self) -> bool {
        let good = self.known.values().filter_map(|known| known.good.as_ref());
        good.into_iter().any(|good| good.valid.in_clusters().next().is_some())
    }

    /// Whether every policy there is has been heard of.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        self.is_synced
    }

    /// What is to be said about each policy. Nothing, until policies and facts are complete.
    pub fn statuses(&self, facts: &impl Facts) -> BTreeMap<ObjectRef, PolicyStatus> {
        if !self.is_synced || !facts.is_synced() {
            return BTreeMap::new();
        }
        self.known
            .iter()
            .map(|(policy, known)| (policy.clone(), status::status(self, known, facts)))
            .collect()
    }

    fn put(&mut self, policy: FailoverPolicy, before: &mut Before) {
        let FailoverPolicy { object, uid, generation, created, spec } = policy;
        let (good, problem) = match spec {
            Ok(valid) => {
                let (policy, uid) = (object.clone(), Arc::clone(&uid));
                (Some(Resolved { policy, uid, generation, created, valid }), None)
            }
            Err(why) => {
                // The last good version of another object of that name is none of this one.
                let last = self.known.get(&object).and_then(|known| known.good.clone());
                (last.filter(|last| last.uid == uid), Some(why))
            }
        };
        self.replace(&object, Some(PolicyVersions { generation, problem, good }), before);
    }

    fn reject(&mut self, object: ObjectRef, why: Arc<str>) {
        // Of which generation that is cannot be read either.
        let unheard = PolicyVersions { generation: 0, problem: None, good: None };
        self.known.entry(object).or_insert(unheard).problem = Some(why);
    }

    /// Everything that is known of one policy, `None` if it is gone.
    fn replace(&mut self, policy: &ObjectRef, known: Option<PolicyVersions>, before: &mut Before) {
        let old = self.known.get(policy).and_then(|known| known.good.clone());
        let new = known.as_ref().and_then(|known| known.good.clone());
        for service in old.iter().chain(&new).flat_map(Resolved::targets) {
            let held = self.of(&service).cloned();
            before.entry(service).or_insert(held);
        }
        if let Some(old) = &old {
            for service in old.targets() {
                let Some(claims) = self.claims.get_mut(&service) else { continue };
                claims.remove(&old.claim());
                if claims.is_empty() {
                    self.claims.remove(&service);
                }
            }
        }
        if let Some(new) = &new {
            for service in new.targets() {
                self.claims.entry(service).or_default().insert(new.claim());
            }
        }
        match known {
            Some(known) => self.known.insert(policy.clone(), known),
            None => self.known.remove(policy),
        };
    }
}

/// What held for the Services that a batch may have changed, before it.
type Before = BTreeMap<ObjectRef, Option<Resolved>>;
