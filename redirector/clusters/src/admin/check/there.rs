//! Questions about another cluster's API server, and about ways back from it.

use redirector_kube::client::{self, ErrorKind};
use redirector_policy::Reach;
use serde_json::Value;

use super::{
    Check, Finding, Here, There,
    here::{clusters, shown},
    some, text,
};
use crate::{
    admin::{Error, Explained, error::Credentials},
    api::NAMESPACE,
};

/// A token that ends sooner should have been renewed.
const LEAST_LEFT: i64 = 7 * 24 * 3_600;

/// Why an API server did not answer as it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No connection, or no answer in time.
    Unreachable(String),
    /// A certificate that does not fit, or a CA bundle that is none.
    Tls(String),
    /// 401.
    Unauthorized(String),
    /// 403.
    Forbidden(String),
    /// Anything else.
    Other(String),
}

impl Trouble {
    /// Of a command's error with the importer's credentials.
    pub(super) fn of(error: &Error) -> Self {
        let Error::Request { source, .. } = error else {
            return match error {
                Error::Login { source: client::SetupError::CaBundle { .. }, .. } => {
                    Self::Tls(error.to_string())
                }
                _ => Self::Other(error.to_string()),
            };
        };
        let text = Explained(source, Credentials::Importer).to_string();
        match source.kind() {
            ErrorKind::Unreachable | ErrorKind::TimedOut | ErrorKind::Interrupted => {
                Self::Unreachable(text)
            }
            ErrorKind::Tls => Self::Tls(text),
            ErrorKind::Unauthorized => Self::Unauthorized(text),
            ErrorKind::Forbidden => Self::Forbidden(text),
            _ => Self::Other(text),
        }
    }
}

pub(super) fn reachable(of: &There) -> Option<Finding> {
    let server = of.cluster.spec.as_ref().ok()?.spec().server.clone()?;
    let finding = match &of.answer {
        None => Check::Reachable.unknown("not asked: there is no token", None),
        Some(Err(Trouble::Unreachable(why))) => Check::Reachable.failed(
            why,
            format!(
                "open the way to {server} from here, or `redirector cluster join {} --server URL`",
                of.name()
            ),
        ),
        Some(Err(Trouble::Other(why))) => {
            Check::Reachable.failed(why, format!("look at the API server {server}"))
        }
        Some(_) => Check::Reachable.ok(server),
    };
    Some(finding.of(of))
}

pub(super) fn tls(of: &There) -> Option<Finding> {
    let server = of.cluster.spec.as_ref().ok()?.spec().server.clone()?;
    let finding = match &of.answer {
        None | Some(Err(Trouble::Unreachable(_) | Trouble::Other(_))) => {
            Check::Tls.unknown("not seen: no connection", None)
        }
        Some(Err(Trouble::Tls(why))) => Check::Tls.failed(
            why,
            format!(
                "`redirector cluster join {}` again takes the CA and the server of its kubeconfig",
                of.name()
            ),
        ),
        Some(_) => Check::Tls.ok(format!("the certificate fits {server}")),
    };
    Some(finding.of(of))
}

pub(super) fn token(of: &There, now: i64) -> Option<Finding> {
    if !of.has_server() {
        return None;
    }
    let name = of.name();
    let again = format!("`redirector cluster join {name}` again makes a new one");
    let credentials = match &of.credentials {
        Ok(credentials) => credentials,
        Err(why) => return Some(Check::Token.failed(why, again).of(of)),
    };
    if let Some(Err(Trouble::Unauthorized(why))) = &of.answer {
        return Some(Check::Token.failed(why, again).of(of));
    }
    let Some(expires) = credentials.expires else {
        let fix = Some("the importer renews it as soon as it can; is the Deployment running?");
        return Some(Check::Token.unknown("its end is not known", fix).of(of));
    };
    let left = expires.as_second() - now;
    let is_late = credentials.renew_at().is_none_or(|at| at.as_second() <= now);
    let finding = if left <= 0 {
        Check::Token.failed(format!("it expired at {expires}"), again)
    } else if left < LEAST_LEFT && is_late {
        Check::Token.failed(
            format!("it expires at {expires}, and no importer has renewed it after half of its life"),
            format!("is the Deployment redirector-clusters running, and may it update Secret {NAMESPACE}/{name}? {again}"),
        )
    } else {
        Check::Token.ok(format!("good until {expires}, {} days", left / 86_400))
    };
    Some(finding.of(of))
}

/// Two clusters whose policies for one Service name each other, with an ingress between.
pub(super) fn loops(of: &There, here: &Here) -> Option<Finding> {
    let reach = of.cluster.spec.as_ref().ok()?.spec().reach;
    let name = of.name();
    if reach == Reach::Pod {
        let finding = Check::Loops.ok("at its pods: no connection passes an ingress there");
        return Some(finding.of(of));
    }
    let forth: Vec<_> = here.policies.iter().filter(|policy| names(policy, name)).collect();
    if forth.is_empty() {
        return Some(Check::Loops.ok(format!("no policy here sends to {name}")).of(of));
    }
    let Some(theirs) = &of.policies else {
        let fix = "pass --remote-context to look at the policies there";
        let what = format!("{} policies here send to its {reach:?}s", forth.len());
        return Some(Check::Loops.unknown(what, Some(fix)).of(of));
    };
    let own = here.own().unwrap_or_default();
    let is_loop = |policy: &&&Value| {
        let back = theirs.iter().filter(|other| names(other, &own));
        back.into_iter().any(|other| services(other).any(|of| services(policy).any(|to| to == of)))
    };
    let loops: Vec<_> = forth.iter().filter(is_loop).map(|policy| shown(policy)).collect();
    let finding = if loops.is_empty() {
        Check::Loops.ok("no policy there sends back")
    } else {
        Check::Loops.warning(
            format!("{} and its like in {name} name each other, through an ingress", some(&loops)),
            "reach each other at pods, or keep mode LastResort in both: then a loop needs both to be down",
        )
    };
    Some(finding.of(of))
}

fn names(policy: &Value, cluster: &str) -> bool {
    clusters(policy).any(|name| name == cluster || name == "*")
}

/// Namespace and name of the Services that a policy is for.
fn services(policy: &Value) -> impl Iterator<Item = (&str, &str)> {
    let namespace = text(&policy["metadata"]["namespace"]);
    let refs = policy["spec"]["targetRefs"].as_array().into_iter().flatten();
    refs.map(move |of| (namespace, text(&of["name"])))
}
