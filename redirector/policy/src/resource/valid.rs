//! Validates an object's policy, whatever the API server has validated: it may be older than its
//! CRD.

use std::collections::HashMap;

use redirector_core::service::{ANY_OTHER, Policy, ServiceRef};

use super::{
    super::{Field, Invalid, Problem, TierServiceSpec, bounds::SERVICE_NAME},
    FailoverPolicyObjectSpec, MAX_TARGETS, TargetRef,
};

/// A policy that keeps all its bounds and rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidPolicy(FailoverPolicyObjectSpec);

/// A tier of clusters that are named.
#[derive(Clone, Copy, Debug)]
pub struct TierInClusters<'a> {
    /// Its name.
    pub name: &'a str,
    /// The clusters; `*` is each but the own.
    pub clusters: &'a [String],
    /// The Service whose exports it takes; `None` is the policy's own.
    pub service: Option<&'a TierServiceSpec>,
}

impl ValidPolicy {
    /// Names of the Services that the policy is for, in its namespace: 1 to 16, no two equal.
    pub fn targets(&self) -> impl Iterator<Item = &str> {
        self.0.target_refs.iter().map(|target| target.name.as_str())
    }

    /// Names of its tiers that are another Service, with that Service: in its own namespace, and
    /// none of its targets.
    pub fn services(&self) -> impl Iterator<Item = (&str, &TierServiceSpec)> {
        let tiers = self.0.policy.tiers.iter().flatten();
        tiers.filter_map(|tier| Some((tier.name.as_str(), tier.service.as_ref()?)))
    }

    /// Its tiers that name clusters, in their order.
    pub fn in_clusters(&self) -> impl Iterator<Item = TierInClusters<'_>> {
        let tiers = self.0.policy.tiers.iter().flatten();
        tiers.filter_map(|tier| {
            let (name, clusters) = (tier.name.as_str(), tier.clusters.as_deref()?);
            Some(TierInClusters { name, clusters, service: tier.service.as_ref() })
        })
    }

    /// Whether any of its tiers could have backends of a cluster; `own` is the client's. Without
    /// tiers any is the last choice.
    #[must_use]
    pub fn admits(&self, cluster: &str, own: &str) -> bool {
        let Some(tiers) = &self.0.policy.tiers else { return true };
        let is_named = |name: &String| name == cluster || (name == ANY_OTHER && cluster != own);
        let named = tiers.iter().filter(|tier| tier.service.is_none());
        named.filter_map(|tier| tier.clusters.as_ref()).flatten().any(is_named)
    }

    /// Whether it means the same as another policy, whatever Services they are for.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.policy == other.0.policy
    }

    /// What the policy means for the service `own`. `refer` says which service a tier's name and
    /// port are; a tier that it says is `own` itself is one without backends.
    pub fn policy(
        &self,
        own: &ServiceRef,
        refer: impl Fn(&TierServiceSpec) -> ServiceRef,
    ) -> Policy {
        let (policy, _) = self.0.policy.convert(own, |service| Ok(refer(service)));
        policy
    }
}

impl FailoverPolicyObjectSpec {
    /// Checks everything that its schema promises.
    ///
    /// # Errors
    ///
    /// Every field that is out of its bounds or contradicts another one.
    pub fn validate(self) -> Result<ValidPolicy, Invalid> {
        let mut problems = self.targets();
        // Which services tiers are is another question: here only what they are called.
        let nobody = ServiceRef("".into());
        let named = |service: &TierServiceSpec| {
            self.name_of(service)?;
            Ok(ServiceRef(service.name.as_str().into()))
        };
        let (_, others) = self.policy.convert(&nobody, named);
        problems.extend(others);
        if problems.is_empty() { Ok(ValidPolicy(self)) } else { Err(Invalid(problems)) }
    }

    fn targets(&self) -> Vec<Problem> {
        let field = Field::default().field("targetRefs");
        let mut problems = Vec::new();
        let mut add = |field: Field, message| problems.push(Problem { field, message });
        if self.target_refs.is_empty() {
            add(field.clone(), "names no Service; name at least one".to_owned());
        }
        if self.target_refs.len() > MAX_TARGETS {
            let many = format!("is one too many; at most {MAX_TARGETS} are allowed");
            add(field.index(MAX_TARGETS), many);
        }
        let mut names = HashMap::new();
        for (at, TargetRef { group: _, kind: _, name }) in self.target_refs.iter().enumerate() {
            let field = field.index(at).field("name");
            if let Err(why) = SERVICE_NAME.check(name) {
                add(field, why);
            } else if let Some(first) = names.insert(name.as_str(), at) {
                add(field, format!("{name:?} is already that of targetRefs[{first}]"));
            }
        }
        problems
    }

    /// What is wrong with the name of a tier's service.
    fn name_of(&self, TierServiceSpec { name, port: _ }: &TierServiceSpec) -> Result<(), String> {
        SERVICE_NAME.check(name)?;
        if self.target_refs.iter().any(|target| target.name == *name) {
            return Err(format!("{name:?} is one of targetRefs; name another Service"));
        }
        Ok(())
    }
}
