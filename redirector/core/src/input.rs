//! What the core is told, and what it says happened.

use std::{fmt, sync::Arc, time::Duration};

use redirector_common::HealthByte;

use crate::{
    identity::{NodeRef, ZoneRef},
    remote_cluster::RemoteCluster,
    service::{BackendRef, Frontend, Locality, Probe, Service, ServiceRef},
};

/// A point in time: since an origin that the caller chose and never moves back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub Duration);

impl Moment {
    /// The moment so long after this one.
    #[must_use]
    pub const fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by))
    }
}

/// News from a source.
#[derive(Clone, Debug)]
pub enum Input {
    /// Where this agent runs.
    Node(Locality),
    /// All other clusters that this one has been told of: those not in it are not known any more.
    /// Backends may be of clusters that are in none.
    RemoteClusters(Vec<RemoteCluster>),
    /// Services were added, changed or removed. Conflicts are judged after all changes, so that two
    /// services may swap frontends.
    Change {
        /// Services that are new or changed.
        put: Vec<Service>,
        /// Services that are gone.
        remove: Vec<ServiceRef>,
    },
    /// A [`Change`](Self::Change) of one service: it was added or changed.
    Put(Service),
    /// A [`Change`](Self::Change) of one service: it is gone.
    Remove(ServiceRef),
    /// Everything there is: what is not in it is gone. Until the first one nothing is removed.
    Replace(Vec<Service>),
    /// A probe ended.
    Probed {
        /// Which backend.
        backend: BackendRef,
        /// Whether it answered in time.
        outcome: Result<(), ProbeFailure>,
    },
    /// Bytes found in the kernel's maps that are not 0: at start the last good state.
    Restore(Vec<(BackendRef, HealthByte, u8)>),
    /// Where frontends found in the kernel's maps lead, at start. A backend that the sources do not
    /// list any more has left while no agent looked: UDP flows to it are ended.
    Adopted(Vec<(Frontend, BackendRef)>),
    /// The kernel has changed a backend's health by itself; it is in force already.
    Kernel {
        /// Which backend.
        backend: BackendRef,
        /// What it saw.
        event: KernelEvent,
    },
    /// An operator has spoken.
    Operator(Verb),
    /// Backends that sockets of this node have connected to lately, and from what network: they are
    /// probed from here.
    Used(Vec<(BackendRef, Network)>),
    /// Several inputs of one moment, taken in in order.
    All(Vec<Input>),
    /// Nothing but time has passed: [`State::next_deadline`](crate::State::next_deadline) has come.
    Tick,
}

/// The network from which a socket has connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Network {
    /// A network that a process made itself: what answers there may be that process.
    OfProcess,
    /// A network that the system made: the backend itself has answered.
    OfSystem,
}

/// Whose connects the kernel saw fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientId {
    /// Id of the cgroup of its process, at the level of the pods.
    pub cgroup: u64,
    /// Cookie of its network namespace; 0 is one that the system did not make.
    pub netns: u64,
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.netns {
            0 => write!(f, "cgroup {} in a network namespace of its own", self.cgroup),
            netns => write!(f, "cgroup {} in network namespace {netns}", self.cgroup),
        }
    }
}

/// What the kernel saw of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelEvent {
    /// A client has reached its limit and avoids the backend by itself. No other client is moved.
    Avoided {
        /// Whether its connects were refused; else they were not answered.
        refused: bool,
        /// Which client.
        client: ClientId,
    },
    /// Clients of several networks have reached their limits: the backend is ejected for everybody
    /// on this node, until the agent answers or the time is over.
    Suspected {
        /// Whether connects were refused; else they were not answered.
        refused: bool,
        /// The client whose failure was the last one.
        client: ClientId,
        /// How long the kernel would hold the backend back without an agent, from now.
        lasts: Duration,
        /// Ejections in a row, by the kernel's own count.
        ejections: u32,
    },
    /// The backend has answered before, accepts a client's connections, and does not answer it any more.
    Unresponsive {
        /// The client whose request was the last one.
        client: ClientId,
        /// Clients of several networks saw that: as `Suspected`. Else as `Avoided`.
        is_held: bool,
    },
    /// A trial connect succeeded while no agent lived: re-admitted.
    Readmitted,
    /// The last local listener is gone: out until the agent answers or the time is over.
    ListenerGone,
    /// There is a local listener again: re-admitted.
    ListenerBack,
}

/// What an operator wants.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "camelCase")
)]
pub enum Verb {
    /// No new connections to these, until [`Verb::Undrain`].
    Drain(Drained),
    /// The end of a drain.
    Undrain(Drained),
    /// All of a service's load to the tier of that name, until [`Verb::Failback`].
    Force {
        /// Which service.
        service: ServiceRef,
        /// The tier's name.
        tier: Arc<str>,
    },
    /// A service goes back to what policy and health say, at once: the end of a force, of a
    /// hold-down and of a manual fail-back's wait.
    Failback {
        /// Which service.
        service: ServiceRef,
    },
}

/// What can be drained.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Drained {
    /// One backend, of every service.
    Backend(BackendRef),
    /// All backends on a node.
    Node(NodeRef),
    /// All backends in a zone.
    Zone(ZoneRef),
    /// All backends of a cluster; the client's own is the one that its node names.
    Cluster(Arc<str>),
}

impl Drained {
    /// Its form in the cluster with the id `own`: one order has one form.
    pub(crate) fn seen_from(self, own: Option<&Arc<str>>) -> Self {
        match self {
            Self::Node(node) => Self::Node(node.seen_from(own)),
            Self::Zone(zone) => Self::Zone(zone.seen_from(own)),
            Self::Backend(_) | Self::Cluster(_) => self,
        }
    }
}

impl Verb {
    /// Its form in the cluster with the id `own`.
    pub(crate) fn seen_from(self, own: Option<&Arc<str>>) -> Self {
        match self {
            Self::Drain(what) => Self::Drain(what.seen_from(own)),
            Self::Undrain(what) => Self::Undrain(what.seen_from(own)),
            Self::Force { .. } | Self::Failback { .. } => self,
        }
    }
}

/// What the core asks for that is no state of a table: done once, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Clear a byte that the kernel writes ([`HealthByte::Passive`] or [`HealthByte::Listener`]),
    /// with the counts behind it.
    Readmit {
        /// Which backend.
        backend: BackendRef,
        /// Which byte.
        byte: HealthByte,
    },
    /// Set one of those bytes to [`HealthWord::CONFIRMED`](redirector_common::HealthWord::CONFIRMED):
    /// the backend is out until it is re-admitted.
    Eject {
        /// Which backend.
        backend: BackendRef,
        /// Which byte.
        byte: HealthByte,
        /// It does not answer: that it accepts a connection ends nothing.
        unresponsive: bool,
    },
    /// A probe has just contradicted what clients saw: for a while their word, however many they
    /// are, does not take the backend from everybody.
    Vouch {
        /// Which backend.
        backend: BackendRef,
        /// How long that holds.
        lasts: Duration,
        /// Also for requests that were not answered, and not for connects alone.
        answers: bool,
    },
    /// What [`KernelEvent::Avoided`] or [`KernelEvent::Suspected`] asked is answered, in whatever
    /// way: the kernel may ask again.
    Answered(BackendRef),
    /// The backend has been well for long: its next ejection is a first one.
    Forgive(BackendRef),
    /// Destroy the established sockets of this node to a lost backend.
    Reset(BackendRef),
    /// Destroy the connected UDP sockets that a service has led to a backend, which has left it. No
    /// policy has asked for that: only those that are known to have come by the service.
    EndFlows(BackendRef),
}

/// A probe that should run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeOrder {
    /// How the backend is probed.
    pub probe: Probe,
    /// Owners ([`ServiceRef::owner`]) of the services that list the backend, by name, each once, at
    /// least one: a probe is made at the expense of any of them.
    pub owners: Arc<[Arc<str>]>,
    /// Whether it is held back from new connections by a verdict, of its probes or of others: then
    /// its successes are in doubt ([`Probe::fast_interval_ms`]), else its failures are.
    pub is_out: bool,
    /// Another number than before asks for one probe at once, beside the interval.
    pub urgency: u32,
    /// Whether nothing depends on it at the moment: then it shares few probes with others.
    pub rest: Option<AtRest>,
}

/// What a backend of another cluster is asked at the expense of, while it gets no connections from this
/// node. All nodes ask, and the link between the clusters bears it all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AtRest {
    /// The cluster: all of its backends at rest share what probes it gets.
    pub cluster: Arc<str>,
    /// One of those whose services list it: owners take turns, however many backends each has.
    pub owner: Arc<str>,
    /// Its place among them, in this node's own order: lower is earlier.
    pub rank: u64,
}

/// Why a probe failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeFailure {
    /// No answer in time.
    TimedOut,
    /// The peer or a router said no, or this machine could not ask.
    Failed(Arc<str>),
}

impl fmt::Display for ProbeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("timed out"),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

/// Who wants a service's traffic in another tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rerouter {
    /// Its policy: one came, changed or went.
    Policy,
    /// An operator, by a force.
    Operator,
}

/// What has become of another cluster as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterEvent {
    /// The importer does not hear it any more. So many of its backends are out by that alone; without
    /// any, those that answer stay.
    Silent {
        /// Backends that were not out before.
        out: usize,
    },
    /// The importer has not heard it for so long that nothing known of it holds.
    Lost {
        /// Backends that were not out before.
        out: usize,
    },
    /// The importer hears it again.
    Live,
    /// None of its backends that this node has asked has answered: all of them are out.
    Unreachable {
        /// The importer does not hear it either; else this node has found out by itself.
        is_told: bool,
        /// Backends that were not out before.
        out: usize,
    },
    /// Its backends answer this node again.
    Reachable,
}

/// Something that happened, for logs, metrics and events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transition {
    /// A backend receives no new connections any more.
    Ejected {
        /// Which backend.
        backend: BackendRef,
        /// Who objects.
        by: HealthByte,
        /// Why.
        why: Arc<str>,
    },
    /// A backend may receive new connections again.
    Readmitted {
        /// Which backend.
        backend: BackendRef,
        /// Who objected.
        by: HealthByte,
    },
    /// A probe succeeded after connects of a client had failed, or a listener had ended: that client
    /// cannot reach the backend, and this node's probe can.
    Contradicted {
        /// Which backend.
        backend: BackendRef,
        /// Which client; `None` is a listener, or what an earlier agent had heard of.
        client: Option<ClientId>,
        /// Whether its connects were refused; else they were not answered.
        refused: bool,
        /// Its connects succeeded, and its requests were not answered.
        unresponsive: bool,
    },
    /// The first tier of a service that carries load because a backend in it is healthy is another
    /// one; `None` is no tier. A tier that ramps counts once it has all of its share. A service
    /// that never had a tier may get one without this transition.
    FailedOver {
        /// Which service.
        service: ServiceRef,
        /// Number and name before, counted from 0.
        from: Option<(u8, Arc<str>)>,
        /// Number and name now.
        to: Option<(u8, Arc<str>)>,
    },
    /// As `FailedOver`, because a policy or an operator wanted it: nothing failed or came back.
    Rerouted {
        /// Which service.
        service: ServiceRef,
        /// Number and name before, counted from 0; `None` is no tier.
        from: Option<(u8, Arc<str>)>,
        /// Number and name now.
        to: Option<(u8, Arc<str>)>,
        /// Who wanted it.
        by: Rerouter,
    },
    /// Nothing at all answers this node: its own network is suspected, and ejections do not grow.
    /// `false` is the end of that.
    NodeSuspect(bool),
    /// Another cluster is not heard or not reached, or is again. What that does to its backends as a
    /// whole is in it: they are not `Ejected` and `Readmitted` one by one.
    Cluster {
        /// Its id.
        cluster: Arc<str>,
        /// What has become of it.
        event: ClusterEvent,
    },
    /// A tier's share changed by a fail-back: hold-down over, ramp, or the end of it.
    Ramped {
        /// Which service.
        service: ServiceRef,
        /// The tier that gets its traffic back.
        tier: Arc<str>,
        /// Percent of the share it is due.
        percent: u8,
    },
    /// An operator's wish is in force.
    Ordered(Verb),
    /// An object was refused; its last good version stays in force.
    Rejected {
        /// Which object.
        object: ServiceRef,
        /// Why.
        why: Arc<str>,
    },
}
