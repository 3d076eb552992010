//! Validates a RemoteCluster, whatever the API server has validated.

use std::{net::IpAddr, time::Duration};

use ipnet::IpNet;

use super::{
    super::{Field, Invalid, Problem, bounds::KEEP_FOR},
    MAX_CIDRS, Reach, RemoteClusterSpec,
};

/// A RemoteCluster that keeps all its bounds and rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidRemoteCluster {
    spec: RemoteClusterSpec,
    cidrs: Vec<IpNet>,
    keep_for: Duration,
}

impl ValidRemoteCluster {
    /// What its owner wrote.
    #[must_use]
    pub fn spec(&self) -> &RemoteClusterSpec {
        &self.spec
    }

    /// Where its endpoints are: 1 to 64 ranges.
    #[must_use]
    pub fn cidrs(&self) -> &[IpNet] {
        &self.cidrs
    }

    /// Whether an endpoint at that address may be its.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        self.cidrs.iter().any(|cidr| cidr.contains(&address))
    }

    /// How long endpoints of a silent cluster are kept while they answer.
    #[must_use]
    pub fn keep_for(&self) -> Duration {
        self.keep_for
    }
}

impl RemoteClusterSpec {
    /// Checks everything that its schema promises.
    ///
    /// # Errors
    ///
    /// Every field that is out of its bounds or contradicts another one.
    pub fn validate(self) -> Result<ValidRemoteCluster, Invalid> {
        let field = |name| Field::default().field(name);
        let mut problems = Vec::new();
        let mut add = |field: Field, message: String| problems.push(Problem { field, message });
        if let Some(server) = &self.server
            && server.strip_prefix("https://").is_none_or(str::is_empty)
        {
            add(field("server"), format!("{server:?} is no URL such as https://west.example:6443"));
        }
        if self.server.is_some() && self.credentials.is_none() {
            add(field("credentials"), "is missing; with a server the importer needs them".into());
        }
        if self.cidrs.is_empty() {
            add(
                field("cidrs"),
                "is empty; say where its endpoints are, such as 10.2.0.0/16".into(),
            );
        }
        if self.cidrs.len() > MAX_CIDRS {
            add(field("cidrs"), format!("has more than {MAX_CIDRS} ranges"));
        }
        let mut cidrs = Vec::new();
        for (at, text) in self.cidrs.iter().enumerate() {
            match cidr(text) {
                Ok(cidr) => cidrs.push(cidr),
                Err(why) => add(field("cidrs").index(at), why),
            }
        }
        let mut keep_for = Duration::from_mins(if self.reach == Reach::Pod { 15 } else { 24 * 60 });
        if let Some(text) = &self.keep_for {
            match KEEP_FOR.check(text) {
                Ok(milliseconds) => keep_for = Duration::from_millis(milliseconds.into()),
                Err(why) => add(field("keepFor"), why),
            }
        }
        if problems.is_empty() {
            Ok(ValidRemoteCluster { spec: self, cidrs, keep_for })
        } else {
            Err(Invalid(problems))
        }
    }
}

/// A range as it should be written: no bits behind its length, and not everything.
fn cidr(text: &str) -> Result<IpNet, String> {
    let none = || format!("{text:?} is no range such as 10.2.0.0/16 or fd00:2::/48");
    let cidr: IpNet = text.parse().map_err(|_| none())?;
    if cidr.prefix_len() == 0 {
        return Err(format!("{text:?} is every address; say where its endpoints are"));
    }
    if cidr.trunc() != cidr {
        return Err(format!("{text:?} has bits behind its length; write {}", cidr.trunc()));
    }
    if matches!(cidr.network(), IpAddr::V6(address) if address.to_ipv4_mapped().is_some()) {
        return Err(format!("{text:?} is IPv4 in IPv6; write it as IPv4"));
    }
    Ok(cidr)
}
