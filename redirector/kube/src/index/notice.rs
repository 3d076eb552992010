//! What is not as its owner may think, for people.

use crate::api::ObjectRef;

/// Something about an object that people should know; it stands as long as it is so.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Notice {
    /// Which object it is about; a zone and a RemoteCluster have no namespace.
    pub object: ObjectRef,
    /// One word in CamelCase, for programs: one of [`reason`].
    pub reason: &'static str,
    /// A sentence, for people.
    pub message: String,
}

/// What [`Notice::reason`] can be.
pub mod reason {
    /// A version that cannot be read: the last good one stays in force.
    pub const UNREADABLE: &str = "Unreadable";
    /// A policy's newest version is invalid: the last good one stays in force.
    pub const INVALID_POLICY: &str = "InvalidPolicy";
    /// Asked for, but no Service that kube-proxy serves: it is left alone.
    pub const NOT_SERVED: &str = "NotServed";
    /// Neither the controller nor `trusted` vouches for its endpoints: it is left to kube-proxy.
    pub const UNTRUSTED_SLICE: &str = "UntrustedSlice";
    /// More endpoints than a tier can have: it is left to kube-proxy.
    pub const TOO_MANY_ENDPOINTS: &str = "TooManyEndpoints";
    /// Its namespace wants more than its share of the tables: it is left to kube-proxy.
    pub const OVER_SHARE: &str = "OverShare";
    /// Two of its ports have one name: it is left to kube-proxy.
    pub const PORT_TWICE: &str = "PortTwice";
    /// An address that is never used was left out.
    pub const REFUSED_ADDRESS: &str = "RefusedAddress";
    /// An address of it is left to kube-proxy, because only some clients may use it.
    pub const SOURCE_RANGES: &str = "SourceRanges";
    /// Its node ports and outer addresses are left to kube-proxy: they lead to all endpoints.
    pub const INTERNAL_LOCAL: &str = "InternalLocal";
    /// An address of it is another Service's.
    pub const ADDRESS_TAKEN: &str = "AddressTaken";
    /// An address of it is a pod's.
    pub const ADDRESS_OF_POD: &str = "AddressOfPod";
    /// An endpoint that is a Service's address was left out.
    pub const ENDPOINT_IS_FRONTEND: &str = "EndpointIsFrontend";
    /// A zone in no region that is known: its endpoints are the last choice.
    pub const UNKNOWN_ZONE: &str = "UnknownZone";
    /// A probe of a Service's address would be redirected: it is not made.
    pub const PROBE_IS_FRONTEND: &str = "ProbeIsFrontend";
    /// Its endpoints are gateways that only Linkerd's proxies can use: never a backend.
    pub const LINKERD_GATEWAY: &str = "LinkerdGateway";
    /// It stands for what several clusters export: kube-proxy spreads over them, and a policy belongs to
    /// the Service that is exported.
    pub const CLUSTER_SET_SERVICE: &str = "ClusterSetService";
    /// Slices of a cluster of which there is no RemoteCluster, or that say no cluster: left out.
    pub const UNKNOWN_CLUSTER: &str = "UnknownCluster";
    /// A slice with an address that its cluster cannot have, by its RemoteCluster: it alone is left out.
    pub const OUTSIDE_CIDRS: &str = "OutsideCIDRs";
    /// A slice whose addresses are of another kind than its RemoteCluster says: it alone is left out.
    pub const REACH_DIFFERS: &str = "ReachDiffers";
    /// A port that another cluster exports under no name that fits: it has no backend there.
    pub const PORT_MISMATCH: &str = "PortMismatch";
    /// kube-proxy takes the endpoints of another cluster too: without an agent it uses them at all times.
    pub const REMOTE_IN_KUBE_PROXY: &str = "RemoteInKubeProxy";
    /// There is no room for endpoints of other clusters: they are left out, its own are not.
    pub const NO_ROOM_FOR_REMOTE: &str = "NoRoomForRemote";
    /// A RemoteCluster that is not valid; the last good version of it holds, if there is one.
    pub const INVALID_CLUSTER: &str = "InvalidCluster";
    /// A RemoteCluster is not used, because this cluster has no id.
    pub const OWN_CLUSTER_UNKNOWN: &str = "OwnClusterUnknown";
    /// A RemoteCluster is not used, because this cluster has two ids.
    pub const OWN_CLUSTER_DIFFERS: &str = "OwnClusterDiffers";
    /// A RemoteCluster is this cluster.
    pub const OWN_CLUSTER: &str = "OwnCluster";
    /// The ranges of a RemoteCluster are used otherwise: it is refused as a whole.
    pub const CIDR_OVERLAP: &str = "CIDROverlap";
    /// A pod of this cluster is listed inside the ranges of a cluster that is used: its Service gets no
    /// endpoint of that one.
    pub const OVERLAP_SUSPECTED: &str = "OverlapSuspected";
    /// A RemoteCluster must be reached by an encrypted way, and whether it is is not known.
    pub const NO_GUARD: &str = "NoGuard";

    /// Reasons for which the Service is left alone as a whole.
    pub(crate) const LEAVES: [&str; 7] = [
        NOT_SERVED,
        UNTRUSTED_SLICE,
        TOO_MANY_ENDPOINTS,
        OVER_SHARE,
        PORT_TWICE,
        LINKERD_GATEWAY,
        CLUSTER_SET_SERVICE,
    ];
}
