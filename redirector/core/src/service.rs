//! What a source says about a service: frontends, backends and their places, policy.
//!
//! Plain data, already validated by the source that made it.

use std::{cmp::Ordering, fmt, net::IpAddr, sync::Arc};

use redirector_common::{AllDown, Limits, PROTOCOL_TCP, PROTOCOL_UDP};

use crate::locality::Place;
pub use crate::locality::{Locality, Rank};

/// Name of a service, `namespace/name` by convention.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ServiceRef(pub Arc<str>);

impl ServiceRef {
    /// Whose it is: the namespace. Services without one have one owner together.
    #[must_use]
    pub fn owner(&self) -> &str {
        self.0.split_once('/').map_or("", |(namespace, _)| namespace)
    }
}

impl fmt::Display for ServiceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// TCP or UDP; everything else passes untouched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// Transmission Control Protocol.
    Tcp,
    /// User Datagram Protocol.
    Udp,
}

impl Protocol {
    /// The IP protocol number.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => PROTOCOL_TCP,
            Self::Udp => PROTOCOL_UDP,
        }
    }

    /// The protocol of that number, if it is one of ours.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            PROTOCOL_TCP => Some(Self::Tcp),
            PROTOCOL_UDP => Some(Self::Udp),
            _ => None,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// An address, port and protocol. Canonical: never a v4-mapped IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Where applications connect to, or where a backend answers.
    pub address: IpAddr,
    /// Host order, 1 to 65,535.
    pub port: u16,
    /// One address and port may be two services, or two backends.
    pub protocol: Protocol,
}

/// What applications dial.
pub type Frontend = Endpoint;

/// Identity of a backend: where it answers. Services that list the same one share its health.
pub type BackendRef = Endpoint;

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", std::net::SocketAddr::new(self.address, self.port), self.protocol)
    }
}

impl Ord for Endpoint {
    /// By family, address, port and protocol: what a derived order would be, at a fraction of its
    /// cost, because a state with a million backends sorts and searches them all the time.
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        let rest = |it: &Self| u64::from(it.port) << 8 | u64::from(it.protocol.number());
        match (self.address, other.address) {
            (IpAddr::V4(one), IpAddr::V4(two)) => {
                let one = u64::from(one.to_bits()) << 24 | rest(self);
                one.cmp(&(u64::from(two.to_bits()) << 24 | rest(other)))
            }
            (IpAddr::V6(one), IpAddr::V6(two)) => {
                (one.to_bits(), rest(self)).cmp(&(two.to_bits(), rest(other)))
            }
            (IpAddr::V4(_), IpAddr::V6(_)) => Ordering::Less,
            (IpAddr::V6(_), IpAddr::V4(_)) => Ordering::Greater,
        }
    }
}

impl PartialOrd for Endpoint {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// One backend of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Which backend.
    pub backend: BackendRef,
    /// Where it runs.
    pub locality: Locality,
    /// Share among the backends of its tier, 1 to 65,535.
    pub weight: u16,
    /// What its source says of it beside its place.
    pub rank: Rank,
}

/// A service and everything that decides where its connections go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Which service.
    pub name: ServiceRef,
    /// Addresses of one protocol, of either family.
    pub frontends: Vec<Frontend>,
    /// Addresses of frontends that no host has, such as cluster addresses of Kubernetes: what comes
    /// from there is an answer. From any other address a client may write first (UDP).
    pub virtual_addresses: Vec<IpAddr>,
    /// Session affinity in seconds, 1 to 86,400; `None` is off.
    pub affinity_seconds: Option<u32>,
    /// kube-proxy serves the frontends too: without an agent they are left to it.
    pub also_served: bool,
    /// Whether connects without a backend fail with `EHOSTUNREACH`, as of a service that only this
    /// node may serve (`internalTrafficPolicy: Local`) and does not; else with `ECONNREFUSED`.
    pub unreachable: bool,
    /// The service's own backends in any order; no two equal.
    pub backends: Vec<Backend>,
    /// What its owner declared.
    pub policy: Policy,
}

impl Service {
    /// The backends that it lists itself.
    pub(crate) fn backend_refs(&self) -> impl Iterator<Item = BackendRef> {
        self.backends.iter().map(|listed| listed.backend)
    }
}

/// What the owner of a service declared: the validated form of `FailoverPolicy.spec`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Groups of backends in the order of preference, at most 8. A backend belongs to the first
    /// one that it fits. If there are none, the service's own backends are grouped by locality.
    pub tiers: Vec<TierRule>,
    /// When later tiers carry load.
    pub mode: Mode,
    /// Envoy's factor F of [`Mode::Spill`] in percent, 100 to 1,000.
    pub overprovisioning_percent: u16,
    /// Percent of healthy backends below which a tier carries nothing in [`Mode::Threshold`], 1 to
    /// 100.
    pub min_healthy_percent: u8,
    /// How a tier gets its traffic back; `None` is at once: no owner has declared a policy.
    pub failback: Option<Failback>,
    /// What happens when no backend is usable.
    pub all_down: AllDown,
    /// What happens to established connections to a backend that is lost.
    pub on_backend_lost: OnBackendLost,
    /// What the kernel ejects for, and how long a connect may take.
    pub limits: Limits,
    /// Consecutive requests without an answer, 0 to 100, for which the kernel ejects a backend that has
    /// answered before; 0 is never.
    pub unresponsive: u8,
    /// How its backends are probed; `None` is not at all.
    pub probe: Option<Probe>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            tiers: Vec::new(),
            mode: Mode::default(),
            overprovisioning_percent: 140,
            min_healthy_percent: 50,
            failback: None,
            all_down: AllDown::default(),
            on_backend_lost: OnBackendLost::default(),
            limits: LIMITS,
            unresponsive: UNRESPONSIVE,
            probe: None,
        }
    }
}

/// docs/adr/007: out after 3 hard or 5 soft failures for 10 s, at most 300 s; connects take at
/// most 1 s.
pub const LIMITS: Limits = Limits {
    refused: 3,
    timeouts: 5,
    connect_timeout_ms: 1_000,
    base_ejection_ms: 10_000,
    max_ejection_ms: 300_000,
};

/// docs/adr/007: out after 5 requests without an answer.
pub const UNRESPONSIVE: u8 = 5;

/// A group of backends of equal rank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TierRule {
    /// Unique within the policy.
    pub name: Arc<str>,
    /// Who belongs to it.
    pub members: Members,
}

/// Who belongs to a tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Members {
    /// Backends at least as near to the client's node as this.
    Within(Place),
    /// Backends in any of these places; an empty list of zones or regions is any.
    Named {
        /// `topology.kubernetes.io/zone`.
        zones: Vec<Arc<str>>,
        /// `topology.kubernetes.io/region`.
        regions: Vec<Arc<str>>,
        /// Names of clusters; the client's own is the one that its node names, and the one that
        /// is meant where none is named. [`ANY_OTHER`] is each but the own.
        clusters: Vec<Arc<str>>,
    },
    /// The backends of another service of the same protocol, wherever they are. Without that
    /// service the tier is empty.
    Service(ServiceRef),
    /// As `Service`, but only those of its backends that are in these clusters.
    Exported {
        /// The other service.
        service: ServiceRef,
        /// Names of clusters, at least one, as in `Named`.
        clusters: Vec<Arc<str>>,
    },
}

impl Members {
    /// The other service whose backends these are.
    #[must_use]
    pub fn service(&self) -> Option<&ServiceRef> {
        match self {
            Self::Service(service) | Self::Exported { service, .. } => Some(service),
            Self::Within(_) | Self::Named { .. } => None,
        }
    }

    /// The clusters that are named; empty is none.
    #[must_use]
    pub fn clusters(&self) -> &[Arc<str>] {
        match self {
            Self::Named { clusters, .. } | Self::Exported { clusters, .. } => clusters,
            Self::Within(_) | Self::Service(_) => &[],
        }
    }
}

/// What stands in a list of clusters for each one but the own. No cluster is called so.
pub const ANY_OTHER: &str = "*";

/// When a later tier carries load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// A tier carries everything while one of its backends is healthy: Linkerd's and Consul's
    /// behaviour.
    #[default]
    LastResort,
    /// Envoy's priority load: what a tier lacks in health spills over to the next ones.
    Spill,
    /// A tier carries everything until it falls below `min_healthy_percent`, then nothing.
    Threshold,
}

/// How a tier that lost its traffic by ejection or probes gets it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failback {
    /// Whether it begins by itself, or when an operator says so.
    pub mode: FailbackMode,
    /// Milliseconds without interruption before any traffic returns, 0 to 3,600,000.
    pub hold_down_ms: u32,
    /// Milliseconds in which its share then grows to all of it, 0 to 3,600,000.
    pub ramp_ms: u32,
}

impl Default for Failback {
    fn default() -> Self {
        Self { mode: FailbackMode::Automatic, hold_down_ms: 30_000, ramp_ms: 20_000 }
    }
}

/// Who decides about a fail-back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailbackMode {
    /// Time decides.
    #[default]
    Automatic,
    /// An operator decides.
    Manual,
}

/// What happens to established connections to a backend that is silent: its node is dead, its
/// address is gone, or it was ejected for timeouts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnBackendLost {
    /// Nothing; but a connected UDP socket ends with a backend that is gone, when another one serves.
    #[default]
    Keep,
    /// TCP and connected UDP sockets are destroyed: `ECONNABORTED`.
    Reset,
}

/// An active probe. A backend of several services is probed with the strictest of each field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// What the probe asks.
    pub kind: ProbeKind,
    /// Host order; `None` is the backend's own.
    pub port: Option<u16>,
    /// Milliseconds from one probe's begin to the next one's, 100 to 3,600,000.
    pub interval_ms: u32,
    /// The same while it is in doubt how the backend is: it serves and has failed fewer than
    /// `unhealthy` times in a row, or is ejected and has answered fewer than `healthy` times. 50 to
    /// 60,000, not above the interval; the interval itself is no hurry.
    pub fast_interval_ms: u32,
    /// Milliseconds, 10 to 60,000, not above the interval.
    pub timeout_ms: u32,
    /// Consecutive failures that eject, 1 to 100.
    pub unhealthy: u8,
    /// Consecutive successes that re-admit, 1 to 100.
    pub healthy: u8,
}

/// What a probe asks. Later ones ask for more.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProbeKind {
    /// Whether a connection is accepted.
    #[default]
    Tcp,
    /// `GET` over HTTP/1.1; no redirect is followed.
    Http {
        /// Begins with `/`.
        path: Arc<str>,
        /// The `Host` header; `None` is the address.
        host: Option<Arc<str>>,
        /// First and last status that is healthy, 100 to 599.
        status: (u16, u16),
    },
    /// `grpc.health.v1.Health/Check`.
    Grpc {
        /// Empty is the server as a whole.
        service: Arc<str>,
    },
}

impl Default for Probe {
    /// docs/adr/007: every second, 200 ms in doubt; 500 ms, out after 2, back after 3.
    fn default() -> Self {
        Self {
            kind: ProbeKind::Tcp,
            port: None,
            interval_ms: 1_000,
            fast_interval_ms: 200,
            timeout_ms: 500,
            unhealthy: 2,
            healthy: 3,
        }
    }
}
