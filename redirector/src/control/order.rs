//! What operators say, as they write it: on the command line, over the socket, in the file that
//! keeps it.

use std::{fmt, net::SocketAddr, str::FromStr, sync::Arc};

use anyhow::{Context as _, Result, bail};
use redirector_core::{
    identity::{NodeRef, ZoneRef},
    input::{Drained, Verb},
    service::{BackendRef, Protocol, ServiceRef},
};
use serde::{Deserialize, Serialize};

/// An operator's wish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Order {
    /// No new connections to these.
    Drain(Subject),
    /// The end of a drain.
    Undrain(Subject),
    /// All load of a service to one of its tiers.
    Force {
        /// `namespace/name`.
        service: Arc<str>,
        /// The tier's name.
        tier: Arc<str>,
    },
    /// Back to what policy and health say, at once.
    Failback {
        /// `namespace/name`.
        service: Arc<str>,
    },
}

/// What can be drained, or supposed to be dead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "String", into = "String")]
pub enum Subject {
    /// `backend=ADDRESS:PORT[/tcp|/udp]`
    Backend(BackendRef),
    /// `node=[CLUSTER/]NAME`; without a cluster, of the own one.
    Node(NodeRef),
    /// `zone=[CLUSTER/]NAME`; without a cluster, of the own one.
    Zone(ZoneRef),
    /// `cluster=NAME`
    Cluster(Arc<str>),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backend(backend) => write!(f, "backend={backend}"),
            Self::Node(name) => write!(f, "node={name}"),
            Self::Zone(name) => write!(f, "zone={name}"),
            Self::Cluster(name) => write!(f, "cluster={name}"),
        }
    }
}

impl FromStr for Subject {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let Some((kind, name)) = text.split_once('=') else {
            bail!("`{text}` is none of backend=ADDRESS:PORT, node=NAME, zone=NAME, cluster=NAME");
        };
        if name.is_empty() {
            bail!("`{text}` names nothing");
        }
        Ok(match kind {
            "backend" => Self::Backend(backend(name)?),
            "node" => Self::Node(in_a_cluster(name)?.into()),
            "zone" => Self::Zone(in_a_cluster(name)?.into()),
            "cluster" => Self::Cluster(name.into()),
            _ => bail!("`{kind}` is none of backend, node, zone, cluster"),
        })
    }
}

impl TryFrom<String> for Subject {
    type Error = anyhow::Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> Self {
        subject.to_string()
    }
}

/// `NAME`, or `CLUSTER/NAME`.
fn in_a_cluster(text: &str) -> Result<&str> {
    match text.split_once('/') {
        Some(("", _) | (_, "")) => bail!("`{text}` is no CLUSTER/NAME, like west/n9"),
        Some((_, name)) if name.contains('/') => {
            bail!("`{text}` has more than one `/`, which separates a cluster from a name")
        }
        _ => Ok(text),
    }
}

/// `ADDRESS:PORT`, with `/udp` if it is not TCP.
fn backend(text: &str) -> Result<BackendRef> {
    let (socket, protocol) = match text.rsplit_once('/') {
        None => (text, Protocol::Tcp),
        Some((socket, "tcp")) => (socket, Protocol::Tcp),
        Some((socket, "udp")) => (socket, Protocol::Udp),
        Some((_, other)) => bail!("`{other}` is no protocol; use tcp or udp"),
    };
    let socket: SocketAddr = socket
        .parse()
        .with_context(|| format!("`{socket}` is no ADDRESS:PORT, like 10.1.0.5:8080"))?;
    Ok(BackendRef { address: socket.ip().to_canonical(), port: socket.port(), protocol })
}

impl From<Subject> for Drained {
    fn from(subject: Subject) -> Self {
        match subject {
            Subject::Backend(backend) => Self::Backend(backend),
            Subject::Node(name) => Self::Node(name),
            Subject::Zone(name) => Self::Zone(name),
            Subject::Cluster(name) => Self::Cluster(name),
        }
    }
}

impl From<Drained> for Subject {
    fn from(drained: Drained) -> Self {
        match drained {
            Drained::Backend(backend) => Self::Backend(backend),
            Drained::Node(name) => Self::Node(name),
            Drained::Zone(name) => Self::Zone(name),
            Drained::Cluster(name) => Self::Cluster(name),
        }
    }
}

impl From<Order> for Verb {
    fn from(order: Order) -> Self {
        match order {
            Order::Drain(subject) => Self::Drain(subject.into()),
            Order::Undrain(subject) => Self::Undrain(subject.into()),
            Order::Force { service, tier } => Self::Force { service: ServiceRef(service), tier },
            Order::Failback { service } => Self::Failback(ServiceRef(service)),
        }
    }
}

impl From<Verb> for Order {
    fn from(verb: Verb) -> Self {
        match verb {
            Verb::Drain(drained) => Self::Drain(drained.into()),
            Verb::Undrain(drained) => Self::Undrain(drained.into()),
            Verb::Force { service, tier } => Self::Force { service: service.0, tier },
            Verb::Failback(service) => Self::Failback { service: service.0 },
        }
    }
}

impl Order {
    /// The same order for another service. A drain is about none.
    #[must_use]
    pub fn of(self, service: Arc<str>) -> Self {
        match self {
            Self::Force { tier, .. } => Self::Force { service, tier },
            Self::Failback { .. } => Self::Failback { service },
            Self::Drain(_) | Self::Undrain(_) => self,
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drain(subject) => write!(f, "drain {subject}"),
            Self::Undrain(subject) => write!(f, "undrain {subject}"),
            Self::Force { service, tier } => write!(f, "force {service} {tier}"),
            Self::Failback { service } => write!(f, "failback {service}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_survive_being_written_down() {
        for text in [
            "backend=10.1.0.5:8080/tcp",
            "backend=[fd00::1]:53/udp",
            "node=n9",
            "zone=b",
            "node=west/n9",
            "zone=west/a",
            "cluster=west",
        ] {
            let subject: Subject = text.parse().expect("a subject");
            assert_eq!(subject.to_string(), text);
            let order = Order::Drain(subject);
            let json = serde_json::to_string(&order).expect("JSON");
            assert_eq!(serde_json::from_str::<Order>(&json).expect("an order"), order);
            assert_eq!(Order::from(Verb::from(order.clone())), order);
        }
        let force = Order::Force { service: "shop/checkout".into(), tier: "west".into() };
        assert_eq!(Order::from(Verb::from(force.clone())), force);
    }

    #[test]
    fn a_mistake_is_named() {
        for (text, why) in [
            ("n9", "is none of backend="),
            ("pod=n9", "`pod` is none of"),
            ("node=", "names nothing"),
            ("node=/n9", "is no CLUSTER/NAME"),
            ("zone=west/", "is no CLUSTER/NAME"),
            ("node=a/b/c", "has more than one `/`"),
            ("backend=10.1.0.5", "is no ADDRESS:PORT"),
            ("backend=10.1.0.5:80/sctp", "`sctp` is no protocol"),
        ] {
            let error = text.parse::<Subject>().expect_err(text).to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn a_mapped_address_is_the_backend_it_means() {
        let subject: Subject = "backend=[::ffff:10.1.0.5]:80".parse().expect("a subject");
        assert_eq!(subject.to_string(), "backend=10.1.0.5:80/tcp");
    }
}
