//! Lists the other clusters: what can be said of them without asking an agent or another cluster.
//!
//! When the importer last heard a cluster it tells its metrics alone. Here is said what follows from its
//! phase, and that only while an importer lives: a phase that no importer keeps up to date is no news.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use k8s_openapi::jiff::Timestamp;
use redirector_kube::api::{
    Object as _, Phase, RemoteCluster,
    labels::{MCS_SERVICE_NAME, SOURCE_CLUSTER},
};
use redirector_policy::{EncryptionMode, Reach};
use serde_json::Value;
use tokio::time::sleep;

use super::{Error, Side, plan::CRDS};
use crate::api::NAMESPACE;

/// A cluster that is Live has been heard within that (the importer's phase machine).
const LIVE_WITHIN: Duration = Duration::from_secs(3);
/// How long a Lease of the Deployment may stand still while its holder lives, if it does not say.
const LEASE: Duration = Duration::from_secs(15);
/// How often the Leases are looked at.
const POLL: Duration = Duration::from_millis(250);

/// One other cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its id.
    pub name: String,
    /// Where its services are reached; `None`: the RemoteCluster is invalid.
    pub reach: Option<Reach>,
    /// How the way is secured, and what is known of it.
    pub path: String,
    /// What the importer last said. `None`: it has said nothing.
    pub phase: Option<Phase>,
    /// When it was heard.
    pub heard: Heard,
    /// Services of it that are here.
    pub services: usize,
    /// Their endpoints that are here.
    pub endpoints: usize,
    /// ServiceExports of this cluster whose Conflict names it.
    pub conflicts: usize,
    /// What is wrong with the RemoteCluster, if it is not accepted.
    pub problem: Option<String>,
}

/// When a cluster was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Within that time, for it is Live.
    Within(Duration),
    /// Not for about that long, by this cluster's clock.
    Not(Duration),
    /// It has not been heard in full yet.
    Never,
    /// No importer lives, or the cluster is about to go.
    Unknown,
    /// Others discover it, and no importer of Redirector listens.
    ByOthers,
}

/// What rows are made of.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// RemoteClusters.
    pub clusters: Vec<Value>,
    /// Slices with the label of a source cluster.
    pub slices: Vec<Value>,
    /// ServiceExports of this cluster.
    pub exports: Vec<Value>,
    /// Whether a Lease of the Deployment has moved while it was watched.
    pub importer_lives: bool,
}

impl Facts {
    /// Reads this cluster; takes as long as a Lease of the Deployment may stand still.
    ///
    /// # Errors
    ///
    /// RemoteClusters are not served, or [`Error::Request`].
    pub async fn read(here: &Side) -> Result<Self, Error> {
        let clusters = here.list(RemoteCluster::PATH).await?;
        let clusters = here.must_serve(clusters, "RemoteCluster", CRDS)?;
        let slices = format!(
            "/apis/discovery.k8s.io/v1/endpointslices?labelSelector={}",
            SOURCE_CLUSTER.replace('/', "%2F")
        );
        let slices = here.list(&slices).await?.unwrap_or_default();
        let exports = exports(here).await?;
        let has_server = clusters.iter().any(|cluster| !cluster["spec"]["server"].is_null());
        let importer_lives = has_server && importer_lives(here).await?;
        Ok(Self { clusters, slices, exports, importer_lives })
    }
}

/// ServiceExports, in whichever version they are served.
pub(super) async fn exports(here: &Side) -> Result<Vec<Value>, Error> {
    for version in ["v1beta1", "v1alpha1"] {
        let path = format!("/apis/multicluster.x-k8s.io/{version}/serviceexports");
        if let Some(found) = here.list(&path).await? {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}

/// Whether a Lease of the Deployment moves. No two clocks are compared: it is watched.
pub(super) async fn importer_lives(here: &Side) -> Result<bool, Error> {
    let path = format!("/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases");
    let first = here.list(&path).await?.unwrap_or_default();
    let seconds = first.iter().filter_map(|lease| lease["spec"]["leaseDurationSeconds"].as_u64());
    let longest = seconds.max().map_or(LEASE, Duration::from_secs).min(LEASE);
    let begun = Instant::now();
    while !first.is_empty() && begun.elapsed() < longest {
        sleep(POLL).await;
        let now = here.list(&path).await?.unwrap_or_default();
        let version = |lease: &Value| {
            (lease["metadata"]["name"].clone(), lease["metadata"]["resourceVersion"].clone())
        };
        if now.iter().any(|lease| !first.iter().any(|old| version(old) == version(lease))) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// One row per RemoteCluster, by name.
#[must_use]
pub fn rows(facts: &Facts, now: Timestamp) -> Vec<Row> {
    let Facts { clusters, slices, exports, importer_lives } = facts;
    let mut rows: Vec<_> = clusters
        .iter()
        .filter_map(|object| {
            let cluster = RemoteCluster::decode(object.to_string().as_bytes()).ok()?;
            let RemoteCluster { name, spec, phase, .. } = cluster;
            let of_it: Vec<_> = slices
                .iter()
                .filter(|slice| slice["metadata"]["labels"][SOURCE_CLUSTER] == *name)
                .collect();
            let services: BTreeSet<_> = of_it.iter().map(|slice| service(slice)).collect();
            let endpoints =
                of_it.iter().map(|slice| slice["endpoints"].as_array().map_or(0, Vec::len));
            let valid = spec.as_ref().ok();
            Some(Row {
                reach: valid.map(|valid| valid.spec().reach),
                path: path(valid.map(|valid| valid.spec().encryption.mode), object),
                phase,
                heard: heard(object, phase, *importer_lives, now),
                services: services.len(),
                endpoints: endpoints.sum(),
                conflicts: exports.iter().filter(|export| conflicts_with(export, &name)).count(),
                problem: problem(spec.as_ref().err().map(|why| &**why), object),
                name: name.to_string(),
            })
        })
        .collect();
    rows.sort_by(|one, other| one.name.cmp(&other.name));
    rows
}

impl Row {
    /// Whether it is as it should be: Live by an importer that lives, or others' business; and accepted.
    #[must_use]
    pub fn is_well(&self) -> bool {
        let is_heard = matches!(self.heard, Heard::Within(_) | Heard::ByOthers);
        is_heard && self.problem.is_none()
    }

    /// Its phase as it is printed: one that no importer keeps up to date is not shown as if it held.
    #[must_use]
    pub fn shown_phase(&self) -> String {
        match (self.phase, self.heard) {
            (_, Heard::ByOthers) => "-".to_owned(),
            (None, _) => "UNKNOWN".to_owned(),
            (Some(Phase::Leaving), _) => "Leaving".to_owned(),
            (Some(phase), Heard::Unknown) => format!("UNKNOWN (was {phase:?})"),
            (Some(phase), _) => format!("{phase:?}"),
        }
    }
}

fn heard(object: &Value, phase: Option<Phase>, importer_lives: bool, now: Timestamp) -> Heard {
    if object["spec"]["server"].is_null() {
        return Heard::ByOthers;
    }
    if !importer_lives {
        return Heard::Unknown;
    }
    match phase {
        Some(Phase::Live) => Heard::Within(LIVE_WITHIN),
        Some(Phase::Joining) => Heard::Never,
        Some(Phase::Silent | Phase::Lost) => {
            let since = condition(object, "Connected")
                .and_then(|of| of["lastTransitionTime"].as_str()?.parse::<Timestamp>().ok());
            since.map_or(Heard::Unknown, |since| {
                let seconds = now.as_second().saturating_sub(since.as_second());
                Heard::Not(LIVE_WITHIN + Duration::from_secs(seconds.try_into().unwrap_or(0)))
            })
        }
        Some(Phase::Leaving) | None => Heard::Unknown,
    }
}

fn path(mode: Option<EncryptionMode>, object: &Value) -> String {
    let Some(mode) = mode else { return "-".to_owned() };
    let reason = condition(object, "Secure").and_then(|of| of["reason"].as_str());
    match (mode, reason) {
        (EncryptionMode::Off, _) | (_, None) => format!("{mode:?}"),
        (_, Some(reason)) => format!("{mode:?} ({reason})"),
    }
}

fn problem(invalid: Option<&str>, object: &Value) -> Option<String> {
    let refused = condition(object, "Accepted").filter(|of| of["status"] == "False");
    let refused = refused.and_then(|of| of["message"].as_str());
    invalid.or(refused).map(str::to_owned)
}

pub(super) fn condition<'o>(object: &'o Value, kind: &str) -> Option<&'o Value> {
    let all = object["status"]["conditions"].as_array()?;
    all.iter().find(|condition| condition["type"] == kind)
}

/// Whether a ServiceExport is in conflict with that cluster, as its message says.
pub(super) fn conflicts_with(export: &Value, cluster: &str) -> bool {
    let Some(conflict) = condition(export, "Conflict").filter(|of| of["status"] == "True") else {
        return false;
    };
    let is_part = |char: char| char.is_ascii_alphanumeric() || char == '-';
    let message = conflict["message"].as_str().unwrap_or_default();
    message.split(|char| !is_part(char)).any(|word| word == cluster)
}

fn service(slice: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let labels = &slice["metadata"]["labels"];
    let name = [MCS_SERVICE_NAME, "kubernetes.io/service-name"].map(|label| text(&labels[label]));
    let name = name.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
    (text(&slice["metadata"]["namespace"]), name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cluster(name: &str, server: bool, status: Value) -> Value {
        let mut object = json!({
            "metadata": {"name": name},
            "spec": {"cidrs": ["10.2.0.0/16"], "encryption": {"mode": "Report"}},
            "status": status,
        });
        if server {
            object["spec"]["server"] = json!("https://west:6443");
            object["spec"]["credentials"] = json!({"secretName": name});
        }
        object
    }

    fn now() -> Timestamp {
        "2026-11-30T12:00:10Z".parse().expect("a time")
    }

    #[test]
    fn a_phase_counts_only_while_an_importer_lives() {
        let since = "2026-11-30T12:00:00Z";
        let connected = json!([{"type": "Connected", "status": "False", "lastTransitionTime": since},
                               {"type": "Secure", "status": "Unknown", "reason": "NoGuard"}]);
        let clusters = vec![
            cluster("west", true, json!({"phase": "Live"})),
            cluster("north", true, json!({"phase": "Silent", "conditions": connected})),
            cluster("south", false, Value::Null),
            cluster("new", true, json!({"phase": "Joining"})),
        ];
        let facts = Facts { clusters, importer_lives: true, ..Facts::default() };
        let shown = |facts: &Facts| {
            let rows = rows(facts, now()).into_iter();
            rows.map(|row| (row.shown_phase(), row.heard, row.is_well())).collect::<Vec<_>>()
        };
        let seconds = Duration::from_secs;
        assert_eq!(
            shown(&facts),
            [
                ("Joining".to_owned(), Heard::Never, false),
                ("Silent".to_owned(), Heard::Not(seconds(13)), false),
                ("-".to_owned(), Heard::ByOthers, true),
                ("Live".to_owned(), Heard::Within(seconds(3)), true),
            ]
        );
        assert_eq!(rows(&facts, now())[1].path, "Report (NoGuard)");
        let dead = Facts { importer_lives: false, ..facts };
        assert_eq!(shown(&dead)[3], ("UNKNOWN (was Live)".to_owned(), Heard::Unknown, false));
    }

    #[test]
    fn services_endpoints_and_conflicts_are_counted_from_what_is_here() {
        let slice = |name: &str, source: &str| {
            json!({"metadata": {"namespace": "shop", "labels": {
                       MCS_SERVICE_NAME: name, SOURCE_CLUSTER: source}},
                   "endpoints": [{}, {}]})
        };
        let message = "port http: west (older) says 80, east 8080; west's holds";
        let export = |status: &str| {
            json!({"status": {"conditions": [
                {"type": "Conflict", "status": status, "message": message}]}})
        };
        let facts = Facts {
            clusters: vec![
                cluster("west", true, Value::Null),
                cluster("far-west", true, Value::Null),
            ],
            slices: vec![
                slice("web", "west"),
                slice("web", "west"),
                slice("cart", "west"),
                slice("web", "far-west"),
            ],
            exports: vec![export("True"), export("False")],
            importer_lives: true,
        };
        let rows = rows(&facts, now());
        assert_eq!((rows[1].services, rows[1].endpoints, rows[1].conflicts), (2, 6, 1));
        assert_eq!((rows[0].services, rows[0].endpoints, rows[0].conflicts), (1, 2, 0));
    }

    #[test]
    fn what_is_not_accepted_says_why() {
        let mut wrong = cluster("west", true, json!({"phase": "Live"}));
        wrong["spec"]["cidrs"] = json!([]);
        let facts = Facts { clusters: vec![wrong], importer_lives: true, ..Facts::default() };
        let row = rows(&facts, now()).remove(0);
        assert!(row.problem.as_ref().is_some_and(|why| why.contains("cidrs")), "{row:?}");
        assert!(!row.is_well());
    }
}
