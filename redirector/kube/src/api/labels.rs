//! Labels and annotations by which slices of other clusters are told, whichever controller writes them.

/// The Service that a slice of another cluster is for (KEP-1645).
pub const MCS_SERVICE_NAME: &str = "multicluster.kubernetes.io/service-name";
/// The cluster that its endpoints are in (KEP-1645).
pub const SOURCE_CLUSTER: &str = "multicluster.kubernetes.io/source-cluster";
/// Who writes a slice.
pub const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// What Redirector's importer writes there.
pub const IMPORTER: &str = "clusters.redirector.dev";
/// What Cilium's synchronisation of slices writes there.
pub const CILIUM_IMPORTER: &str = "endpointslice-mesh-controller.cilium.io";
/// The label by which kube-proxy leaves a slice alone, and its value in ours.
pub const PROXY_NAME: &str = super::service::PROXY_NAME;
/// The value of [`PROXY_NAME`] in slices of the importer.
pub const PROXY: &str = "redirector.dev";
/// An annotation: what a slice's addresses are (`Pod`, `LoadBalancer`, `NodePort`).
pub const REACH: &str = "redirector.dev/reach";
/// An annotation: 0 to 100; 0 is only when no other backend is healthy.
pub const WEIGHT: &str = "redirector.dev/weight";
/// An annotation: zone to region there, as a JSON object.
pub const REGIONS: &str = "redirector.dev/regions";
/// A Linkerd mirror of a Service behind a gateway that only its proxies can use.
pub const LINKERD_MIRROR: &str = "mirror.linkerd.io/mirrored-service";
/// An annotation of a RemoteCluster that is about to be removed: `redirector cluster leave` sets it first, so
/// that its backends get no new connections while its objects are still there. No finalizer holds it.
pub const LEAVING: &str = "clusters.redirector.dev/leaving";
