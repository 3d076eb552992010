//! A version of a policy that is in force.

use std::sync::Arc;

use redirector_policy::{TierServiceSpec, ValidPolicy};

use super::Claim;
use crate::api::ObjectRef;

/// The last good version of a policy.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// Which policy it is.
    pub policy: ObjectRef,
    pub(super) uid: Arc<str>,
    pub(super) generation: i64,
    pub(super) created: i64,
    /// What it says.
    pub valid: Arc<ValidPolicy>,
}

impl Resolved {
    /// The Services that its tiers name: in its own namespace, whether they are there or not.
    pub fn services(&self) -> impl Iterator<Item = (ObjectRef, &TierServiceSpec)> {
        self.valid.services().map(|(_, service)| (self.beside(&service.name), service))
    }

    /// The Services of which its tiers name what other clusters export.
    pub fn exports(&self) -> impl Iterator<Item = ObjectRef> {
        let tiers = self.valid.in_clusters();
        tiers.filter_map(|tier| Some(self.beside(&tier.service?.name)))
    }

    /// The Services that it is for.
    pub(super) fn targets(&self) -> impl Iterator<Item = ObjectRef> {
        self.valid.targets().map(|name| self.beside(name))
    }

    pub(super) fn claim(&self) -> Claim {
        Claim { created: self.created, policy: self.policy.clone() }
    }

    /// Whether both say the same, of the same object.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.policy == other.policy && self.uid == other.uid && self.valid.is_same(&other.valid)
    }

    fn beside(&self, name: &str) -> ObjectRef {
        ObjectRef { namespace: Arc::clone(&self.policy.namespace), name: name.into() }
    }
}
