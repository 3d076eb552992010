//! What is not as its owner may think, for people.

use crate::api::ObjectRef;

/// Something about an object that people should know; it stands as long as it is so.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Notice {
    /// Which object it is about; a zone has no namespace.
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

    /// Reasons for which the Service is left alone as a whole.
    pub(crate) const LEAVES: [&str; 5] =
        [NOT_SERVED, UNTRUSTED_SLICE, TOO_MANY_ENDPOINTS, OVER_SHARE, PORT_TWICE];
}
