//! `FailoverPolicy.spec` as one Rust type, for the file source and for the Kubernetes object.
//!
//! [`FailoverPolicySpec`] is what its owner writes; [`FailoverPolicySpec::convert`] validates it and
//! turns it into what the core understands; [`schema`] is its schema. [`FailoverPolicyObjectSpec`]
//! is the same with the Services that it is for, as the object of Kubernetes has it.
//! [`RemoteClusterSpec`] is what an owner states about another cluster. Nothing here reads a file or
//! talks to an API server.

mod bounds;
mod convert;
mod probe;
mod problem;
mod read;
mod remote_cluster;
mod resource;
mod rules;
mod schema;
mod spec;
#[cfg(test)]
mod tests;
mod tier;
mod words;

pub use probe::{GrpcProbe, HttpProbe, ProbeSpec, TcpProbe};
pub use problem::{Field, Invalid, Problem, Segment};
pub use remote_cluster::{
    Claim, CredentialsSpec, EncryptionMode, EncryptionSpec, NamespacesSpec, OnSilenceWord, Overlap,
    RangeOwner, Reach, RemoteClusterSpec, Taken, ValidRemoteCluster, overlaps,
};
pub use resource::{
    FailoverPolicyObjectSpec, TargetGroup, TargetKind, TargetRef, TierInClusters, ValidPolicy,
};
pub use schema::{object_schema, of as schema_of, remote_cluster_schema, schema};
pub use spec::{FailbackSpec, FailoverPolicySpec, PassiveSpec};
pub use tier::{TierServiceSpec, TierSpec};
pub use words::{AllDownWord, FailbackWord, LocalityWord, LostWord, ModeWord};
