//! Checks what is between this cluster and the others: fifteen questions, each a pure function over what
//! was read, each with the fix for what it finds.
//!
//! Two more of the design are not asked: whether a guard is on every node, and whether it can be bypassed.
//! This version has none.

mod dial;
mod here;
mod manifest;
mod ranges;
mod read;
mod rights;
#[cfg(test)]
mod tests;
mod there;

use std::{collections::BTreeMap, fmt};

use redirector_kube::api::RemoteCluster;
use serde::Serialize;
use serde_json::Value;

pub use dial::{Dial, Mtu};
pub use manifest::{Beat, Outbox};
pub use read::read;
pub use rights::{Attribute, Rights};
pub use there::Trouble;

use super::{Identity, Ranges};
use crate::api::Credentials;

/// One question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Check {
    /// Are all kinds served, in the versions that are used?
    Crds,
    /// Is this cluster's id known, and no other's?
    Identity,
    /// Does the other API server answer?
    Reachable,
    /// Does its certificate fit?
    Tls,
    /// How long does the importer's token last?
    Token,
    /// Is it allowed exactly what it needs?
    Rights,
    /// Does the exporter live, and is its outbox whole?
    Manifest,
    /// Are its ranges free of every other cluster's and of this one's, and are its endpoints in them?
    Cidrs,
    /// Are its namespaces here?
    Namespaces,
    /// Do exports contradict each other?
    Conflicts,
    /// Do endpoints accept connections from here?
    Dial,
    /// Do packets of 1,400 bytes arrive?
    Mtu,
    /// Does another program redirect the same connections?
    Datapath,
    /// Can a connection come back by an ingress there?
    Loops,
    /// Does a policy name a cluster that does not exist?
    Policies,
}

/// What a question came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// All is well.
    Ok,
    /// It cannot be said.
    Unknown,
    /// It works, but not as its owner may think.
    Warning,
    /// Something does not work.
    Failed,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// To which question.
    pub check: Check,
    /// About which other cluster; `None` is this one, or all.
    pub cluster: Option<String>,
    /// What it came to.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do.
    pub fix: Option<String>,
}

/// What was read of this cluster.
#[derive(Clone, Debug, Default)]
pub struct Here {
    /// What messages call it.
    pub side: String,
    /// Who it says it is.
    pub identity: Identity,
    /// What the operator calls it.
    pub given: Option<String>,
    /// Resources by group and version; one that is not served is absent.
    pub served: BTreeMap<&'static str, Vec<String>>,
    /// What it uses itself.
    pub ranges: Ranges,
    /// RemoteClusters.
    pub clusters: Vec<RemoteCluster>,
    /// Namespaces and their labels.
    pub namespaces: BTreeMap<String, BTreeMap<String, String>>,
    /// ServiceExports.
    pub exports: Vec<Value>,
    /// FailoverPolicies.
    pub policies: Vec<Value>,
    /// Slices with the label of a source cluster.
    pub slices: Vec<Value>,
    /// DaemonSets of all namespaces.
    pub daemon_sets: Vec<Value>,
    /// The ConfigMap `kube-system/cilium-config`.
    pub cilium: Option<Value>,
}

/// What was read of another cluster, with the importer's credentials.
#[derive(Clone, Debug)]
pub struct There {
    /// The RemoteCluster.
    pub cluster: RemoteCluster,
    /// What its Secret holds, or why nothing.
    pub credentials: Result<Credentials, String>,
    /// How its API server answered first; `None`: it was not asked.
    pub answer: Option<Result<(), Trouble>>,
    /// What the token may do.
    pub rights: Option<Rights>,
    /// The heartbeat; `None` was not read.
    pub beat: Option<Beat>,
    /// The outbox; `None` was not read.
    pub outbox: Option<Outbox>,
    /// A sample of its endpoints, dialled.
    pub dials: Vec<Dial>,
    /// Its FailoverPolicies, if its operator's context was given.
    pub policies: Option<Vec<Value>>,
}

/// Everything that the checks are about.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// This cluster.
    pub here: Here,
    /// The others, by name.
    pub there: Vec<There>,
    /// The current time, for the ends of tokens alone.
    pub now: i64,
}

/// Every answer, in the order of the questions, then of the clusters.
#[must_use]
pub fn check(facts: &Facts) -> Vec<Finding> {
    let Facts { here, there, now } = facts;
    let mut findings = vec![here::crds(here), here::identity(here)];
    let each = |question: &dyn Fn(&There) -> Option<Finding>| {
        there.iter().filter_map(question).collect::<Vec<_>>()
    };
    findings.extend(each(&there::reachable));
    findings.extend(each(&there::tls));
    findings.extend(each(&|of| there::token(of, *now)));
    findings.extend(each(&|of| rights::rights(of, here)));
    findings.extend(each(&manifest::manifest));
    findings.extend(each(&|of| Some(ranges::cidrs(of, here))));
    findings.extend(each(&|of| ranges::namespaces(of, here)));
    findings.push(here::conflicts(here));
    findings.extend(each(&dial::dials));
    findings.extend(each(&dial::mtu));
    findings.push(here::datapath(here));
    findings.extend(each(&|of| there::loops(of, here)));
    findings.push(here::policies(here));
    findings
}

impl Check {
    /// As it is printed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Crds => "crds",
            Self::Identity => "identity",
            Self::Reachable => "reachable",
            Self::Tls => "tls",
            Self::Token => "token",
            Self::Rights => "rights",
            Self::Manifest => "manifest",
            Self::Cidrs => "cidrs",
            Self::Namespaces => "namespaces",
            Self::Conflicts => "conflicts",
            Self::Dial => "dial",
            Self::Mtu => "mtu",
            Self::Datapath => "datapath",
            Self::Loops => "loops",
            Self::Policies => "policies",
        }
    }

    fn ok(self, found: impl fmt::Display) -> Finding {
        self.finding(Verdict::Ok, found, None)
    }

    fn failed(self, found: impl fmt::Display, fix: impl fmt::Display) -> Finding {
        self.finding(Verdict::Failed, found, Some(fix.to_string()))
    }

    fn warning(self, found: impl fmt::Display, fix: impl fmt::Display) -> Finding {
        self.finding(Verdict::Warning, found, Some(fix.to_string()))
    }

    fn unknown(self, found: impl fmt::Display, fix: Option<&str>) -> Finding {
        self.finding(Verdict::Unknown, found, fix.map(str::to_owned))
    }

    fn finding(self, verdict: Verdict, found: impl fmt::Display, fix: Option<String>) -> Finding {
        Finding { check: self, cluster: None, verdict, found: found.to_string(), fix }
    }
}

impl Verdict {
    /// As it is printed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

impl Finding {
    fn of(self, cluster: &There) -> Self {
        Self { cluster: Some(cluster.cluster.name.to_string()), ..self }
    }
}

impl Here {
    /// Its id, if it is known.
    fn own(&self) -> Option<String> {
        self.identity.id(&self.side, self.given.as_deref()).ok()
    }
}

impl There {
    /// Whether this cluster's importer reads it.
    fn has_server(&self) -> bool {
        self.cluster.spec.as_ref().is_ok_and(|valid| valid.spec().server.is_some())
    }

    fn name(&self) -> &str {
        &self.cluster.name
    }
}

/// The first few, and how many more.
fn some(all: &[String]) -> String {
    const SHOWN: usize = 4;
    let shown = all.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// `1 Service`, `2 Services`.
fn count(number: usize, of: &str) -> String {
    format!("{number} {of}{}", if number == 1 { "" } else { "s" })
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
