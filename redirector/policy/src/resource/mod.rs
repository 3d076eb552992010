//! The `spec` of a FailoverPolicy object of Kubernetes: a policy, and the Services that it is for.
//!
//! No namespace anywhere: targets and tiers are Services of the object's own namespace. So `refused`
//! has no lower bound of 2 here: whether a backend belongs to another namespace is said by the
//! endpoints that a Service lists, not by its policy.

mod read;
mod valid;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{FailoverPolicySpec, bounds::SERVICE_NAME, rules};

pub use valid::{TierInClusters, ValidPolicy};

/// Which backends of the named Services receive new connections when some of them fail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::targets()))]
pub struct FailoverPolicyObjectSpec {
    /// The Services that the policy is for, 1 to 16 of the same namespace. Of two policies for one
    /// Service the older one holds.
    #[schemars(length(min = 1, max = MAX_TARGETS))]
    pub target_refs: Vec<TargetRef>,
    /// What it says.
    #[serde(flatten)]
    pub policy: FailoverPolicySpec,
}

/// A Service of the policy's own namespace: all its TCP and UDP ports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetRef {
    /// The API group of Services: empty, the default.
    #[serde(default)]
    #[schemars(extend("default" = ""))]
    pub group: TargetGroup,
    /// `Service`.
    pub kind: TargetKind,
    /// Its name.
    #[schemars(transform = SERVICE_NAME.schema())]
    pub name: String,
}

/// The API group of a target: that of Services and pods, whose name is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TargetGroup {
    // Without a doc comment: with one it would be a `oneOf` in the schema, which is not structural.
    #[default]
    #[serde(rename = "")]
    Core,
}

/// The kind of a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TargetKind {
    #[default]
    Service,
}

/// Most targets of one policy.
const MAX_TARGETS: usize = 16;
