//! What operators name and order, as they write it: on the command line, over the control socket, in
//! the file that keeps it.

use std::{
    fmt,
    net::{AddrParseError, SocketAddr},
    str::FromStr,
};

use crate::{
    input::{Drained, Verb},
    service::{BackendRef, Locality, Protocol},
};

/// Why a text names nothing that can be drained.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSubject {
    /// It has no `=`.
    #[error("`{0}` is none of backend=ADDRESS:PORT, node=NAME, zone=NAME, cluster=NAME")]
    NoKind(String),
    /// Nothing is behind the `=`.
    #[error("`{0}` names nothing")]
    NoName(String),
    /// Nothing of that kind can be drained.
    #[error("`{0}` is none of backend, node, zone, cluster")]
    UnknownKind(String),
    /// Nothing is before or behind the `/`.
    #[error("`{0}` is no CLUSTER/NAME, like west/n9")]
    HalfAName(String),
    /// A name has no `/`.
    #[error("`{0}` has more than one `/`, which separates a cluster from a name")]
    TooManyParts(String),
    /// The part of a backend that follows the `/`.
    #[error("`{0}` is no protocol; use tcp or udp")]
    NoProtocol(String),
    /// The part of a backend before that.
    #[error("`{0}` is no ADDRESS:PORT, like 10.1.0.5:8080")]
    NoAddress(String, #[source] AddrParseError),
}

impl fmt::Display for Drained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backend(backend) => write!(f, "backend={backend}"),
            Self::Node(name) => write!(f, "node={name}"),
            Self::Zone(name) => write!(f, "zone={name}"),
            Self::Cluster(name) => write!(f, "cluster={name}"),
        }
    }
}

impl FromStr for Drained {
    type Err = NoSubject;

    fn from_str(text: &str) -> Result<Self, NoSubject> {
        let (kind, name) =
            text.split_once('=').ok_or_else(|| NoSubject::NoKind(text.to_owned()))?;
        if name.is_empty() {
            return Err(NoSubject::NoName(text.to_owned()));
        }
        Ok(match kind {
            "backend" => Self::Backend(name.parse()?),
            "node" => Self::Node(in_a_cluster(name)?.into()),
            "zone" => Self::Zone(in_a_cluster(name)?.into()),
            "cluster" => Self::Cluster(name.into()),
            _ => return Err(NoSubject::UnknownKind(kind.to_owned())),
        })
    }
}

/// `NAME`, or `CLUSTER/NAME`.
fn in_a_cluster(text: &str) -> Result<&str, NoSubject> {
    match text.split_once('/') {
        Some(("", _) | (_, "")) => Err(NoSubject::HalfAName(text.to_owned())),
        Some((_, name)) if name.contains('/') => Err(NoSubject::TooManyParts(text.to_owned())),
        _ => Ok(text),
    }
}

impl FromStr for BackendRef {
    type Err = NoSubject;

    /// `ADDRESS:PORT`, with `/udp` if it is not TCP.
    fn from_str(text: &str) -> Result<Self, NoSubject> {
        let (socket, protocol) = match text.rsplit_once('/') {
            None => (text, Protocol::Tcp),
            Some((socket, "tcp")) => (socket, Protocol::Tcp),
            Some((socket, "udp")) => (socket, Protocol::Udp),
            Some((_, other)) => return Err(NoSubject::NoProtocol(other.to_owned())),
        };
        let socket: SocketAddr =
            socket.parse().map_err(|error| NoSubject::NoAddress(socket.to_owned(), error))?;
        Ok(Self { address: socket.ip().to_canonical(), port: socket.port(), protocol })
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drain(subject) => write!(f, "drain {subject}"),
            Self::Undrain(subject) => write!(f, "undrain {subject}"),
            Self::Force { service, tier } => write!(f, "force {service} {tier}"),
            Self::Failback { service } => write!(f, "failback {service}"),
        }
    }
}

impl fmt::Display for Locality {
    /// Writes the place from the widest to the nearest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, zone, region, cluster } = self;
        let all = [("cluster", cluster), ("region", region), ("zone", zone), ("node", node)];
        let mut known = all.into_iter().filter_map(|(kind, name)| Some((kind, name.as_ref()?)));
        let Some((kind, name)) = known.next() else { return f.write_str("place unknown") };
        write!(f, "{kind} {name}")?;
        known.try_for_each(|(kind, name)| write!(f, ", {kind} {name}"))
    }
}

/// In JSON these are what they are elsewhere.
#[cfg(feature = "serde")]
macro_rules! written_as_text {
    ($($name:ty),+) => { $(
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )+ };
}

#[cfg(feature = "serde")]
written_as_text!(BackendRef, Drained);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for text in [
            "backend=10.1.0.5:8080/tcp",
            "backend=[fd00::1]:53/udp",
            "node=n9",
            "zone=b",
            "node=west/n9",
            "zone=west/a",
            "cluster=west",
        ] {
            let subject: Drained = text.parse().expect("a subject");
            assert_eq!(subject.to_string(), text);
        }
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
            let error = text.parse::<Drained>().expect_err(text).to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn a_mapped_address_is_the_backend_it_means() {
        let subject: Drained = "backend=[::ffff:10.1.0.5]:80".parse().expect("a subject");
        assert_eq!(subject.to_string(), "backend=10.1.0.5:80/tcp");
    }

    #[test]
    fn a_locality_says_what_is_known_of_it() {
        for (at, said) in [
            (["n9", "x", "us", "west"], "cluster west, region us, zone x, node n9"),
            (["n2", "", "eu", ""], "region eu, node n2"),
            (["", "b", "", ""], "zone b"),
            (["", "", "", ""], "place unknown"),
        ] {
            let [node, zone, region, cluster] =
                at.map(|name| (!name.is_empty()).then(|| name.into()));
            assert_eq!(Locality { node, zone, region, cluster }.to_string(), said);
        }
    }
}
