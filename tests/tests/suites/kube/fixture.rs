//! A cluster whose agent has exactly the rights of `deploy/base`, and kubectl for its users.

use std::{collections::BTreeSet, time::Duration};

use redirector_tests::{
    api::{self, Request, Rule, Token, Verb, builders},
    cluster::{Cluster, Options, name, slice},
    place::Place,
    wait::{is_soon, wait_until},
};
use serde_json::{Value, json};

/// As `rbac.yaml` calls it.
const AGENT: &str = "system:serviceaccount:redirector-system:redirector";
/// Of the Lease.
pub const NAMESPACE: &str = "redirector-system";
/// What the Service `web` is dialled by.
pub const WEB: &str = "10.96.0.10:80";
/// What of all that the agent asks for is no reading.
const WRITES: [(Verb, &str); 5] = [
    (Verb::Create, "leases"),
    (Verb::Update, "leases"),
    (Verb::Patch, "failoverpolicies/status"),
    (Verb::Create, "events"),
    (Verb::Patch, "events"),
];

/// A cluster, and a place for what kubectl remembers.
pub struct Fixture {
    pub cluster: Cluster,
    cache: tempfile::TempDir,
}

/// How a site is made.
pub struct Setup {
    /// Replicas that run from the start.
    pub replicas: u8,
    /// What the agent may do.
    pub rights: Vec<Rule>,
    /// Whether the cluster knows FailoverPolicies from the start.
    pub has_crd: bool,
    /// The agent's waits are divided by this. By 10 a Lease runs out in 1.5 s.
    pub divisor: u32,
}

impl Default for Setup {
    fn default() -> Self {
        Self { replicas: 2, rights: rights(), has_crd: true, divisor: 10 }
    }
}

/// What is said in a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    pub status: String,
    pub reason: String,
    pub message: String,
    /// `observedGeneration`.
    pub generation: i64,
}

impl Fixture {
    /// Waits until probes of this agent have reached every backend of the service: before, a client that
    /// cannot reach it moves no other.
    pub fn wait_for_probes(&self, service: &str) {
        let is_known = || {
            let explained = self.cluster.agent.ask("explain", &[service]).expect("it runs");
            let text = String::from_utf8_lossy(&explained.stdout);
            let [healthy, all] =
                ["probes: healthy", "probes: "].map(|what| text.matches(what).count());
            healthy > 0 && healthy == all
        };
        wait_until("all its backends have answered a probe", is_known);
    }

    /// With so many replicas, the CRD, and an agent that may do what `deploy/base` allows.
    pub fn new(replicas: u8) -> Self {
        Self::with(Setup { replicas, ..Setup::default() })
    }

    /// The same, otherwise.
    pub fn with(setup: Setup) -> Self {
        let Setup { replicas, rights, has_crd, divisor } = setup;
        let divisor = divisor.to_string();
        let arguments = ["--namespace", NAMESPACE, "--divide-timeouts", &divisor];
        let api = api::Options {
            tokens: vec![
                Token::limited("agent-token", AGENT, rights),
                Token::administrator("admin-token", "admin"),
            ],
            // A tenth of the real time, as the agent's.
            bookmarks: Duration::from_secs(6),
            needs_crd: true,
            ..api::Options::default()
        };
        let arguments = arguments.map(str::to_owned).into();
        let options = Options { replicas, arguments, api };
        let cluster = Cluster::prepared(options, |api, _| {
            api.put(
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}),
            )?;
            if has_crd {
                api.put_yaml(CRD)?;
            }
            Ok(())
        });
        let cache = tempfile::tempdir().expect("a directory for kubectl");
        Self { cluster: cluster.expect("a cluster"), cache }
    }

    /// A Service in `shop` with a selector, at `10.96.0.LAST:80`, and its slice.
    pub fn put_service(&self, service: &str, last: u8, replicas: &[u8]) {
        let object = builders::Service::new("shop", service).port("", "TCP", 80);
        let object = object.cluster_ips(&[&format!("10.96.0.{last}")]);
        let object = object.spec("selector", json!({"app": service}));
        self.cluster.api.put(object).expect("a Service");
        self.cluster.api.put(slice(service, "", replicas)).expect("a slice");
    }

    /// What kubectl prints, in the namespace `shop`, as an administrator. Panics if it fails.
    pub fn kubectl(&self, arguments: &[&str], input: &str) -> String {
        let as_administrator = ["--token", "admin-token", "--namespace", "shop"];
        let place = Place::netns(self.cluster.lab.node("client").netns());
        let all = [&as_administrator[..], arguments].concat();
        let kubeconfig = self.cluster.api.kubeconfig();
        let output = api::kubectl(&kubeconfig, self.cache.path(), place, &all, input);
        let output = output.expect("kubectl runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {arguments:?}: {errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Applies a policy by kubectl.
    pub fn apply(&self, policy: &str, spec: &str) {
        let object = builders::FailoverPolicy::new("shop", policy, spec);
        self.kubectl(&["apply", "-f", "-"], &Value::from(object).to_string());
    }

    /// A condition of a policy, if it was written.
    pub fn condition(&self, policy: &str, kind: &str) -> Option<Condition> {
        let found = self.cluster.api.get("failoverpolicies", "shop", policy)?;
        let mut conditions = found["status"]["conditions"].as_array()?.iter();
        let found = conditions.find(|condition| condition["type"] == kind)?;
        let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
        Some(Condition {
            status: text("status"),
            reason: text("reason"),
            message: text("message"),
            generation: found["observedGeneration"].as_i64().unwrap_or(0),
        })
    }

    /// Waits until a condition of a policy is so, about its newest generation.
    pub fn wait_for_condition(&self, policy: &str, kind: &str, (status, reason): (&str, &str)) {
        let is_so = || {
            let object = self.cluster.api.get("failoverpolicies", "shop", policy);
            let newest = object.and_then(|object| object["metadata"]["generation"].as_i64());
            self.condition(policy, kind).is_some_and(|now| {
                now.status == status && now.reason == reason && Some(now.generation) == newest
            })
        };
        if !is_soon(is_so) {
            let now = self.condition(policy, kind);
            let log = self.cluster.agent.log();
            panic!("{policy} is not {kind}={status} ({reason}) but {now:?}:\n{log}");
        }
    }

    /// Who answers so many dials of `web`; each must be answered.
    pub fn answers(&self, times: u32) -> BTreeSet<String> {
        let dialled = self.cluster.dial(WEB, times).expect("dials");
        dialled.into_iter().map(|one| one.outcome.expect("an answer")).collect()
    }

    /// Waits until exactly these replicas answer for `web`.
    pub fn wait_for_answers(&self, replicas: &[u8]) {
        let wanted: BTreeSet<String> = replicas.iter().map(|number| name(*number)).collect();
        let mut last = BTreeSet::new();
        let is_so = || {
            let dialled = self.cluster.dial(WEB, 20).expect("dials");
            last = dialled.into_iter().map(|one| one.outcome.unwrap_or_default()).collect();
            last == wanted
        };
        if !is_soon(is_so) {
            panic!("not {wanted:?} but {last:?} answer:\n{}", self.cluster.agent.log());
        }
    }

    /// Everything that the agent has asked for.
    pub fn requests(&self) -> Vec<Request> {
        let requests = self.cluster.api.requests().into_iter();
        requests.filter(|request| request.user == AGENT).collect()
    }

    /// Everything that the agent has written, and that it wrote nothing else.
    pub fn assert_only_reports_were_written(&self) {
        let is_reading = |verb| matches!(verb, Verb::Get | Verb::List | Verb::Watch);
        for Request { verb, resource, path, .. } in self.requests() {
            let is_report = WRITES.contains(&(verb, resource.as_str()));
            assert!(is_reading(verb) || is_report, "the agent writes: {verb:?} {path}");
        }
    }

    /// Nothing was asked for that the agent may not do.
    pub fn assert_nothing_was_forbidden(&self) {
        let forbidden: Vec<_> =
            self.requests().into_iter().filter(|request| request.code == 403).collect();
        assert!(forbidden.is_empty(), "{forbidden:#?}");
    }
}

/// What `deploy/base` lets the agent do.
pub fn rights() -> Vec<Rule> {
    let rights = rights_of(RBAC);
    let is_ours = |rule: &Rule| rule.namespace.as_deref().is_none_or(|of| of == NAMESPACE);
    assert!(rights.iter().all(is_ours), "{rights:?}");
    rights
}

/// The rules of the roles in an `rbac.yaml`, those of a Role in its namespace alone.
pub(crate) fn rights_of(rbac: &str) -> Vec<Rule> {
    let objects: Vec<Value> = serde_saphyr::from_multiple(rbac).expect("rbac.yaml is YAML");
    let of = |object: &Value| {
        let namespace = object["metadata"]["namespace"].as_str().map(str::to_owned);
        let rules = Rule::of_role(&json!({"rules": object["rules"]}).to_string());
        rules.into_iter().map(move |rule| Rule { namespace: namespace.clone(), ..rule })
    };
    let is_role = |object: &&Value| {
        object["kind"].as_str().is_some_and(|kind| kind == "ClusterRole" || kind == "Role")
    };
    let rights: Vec<_> = objects.iter().filter(is_role).flat_map(of).collect();
    assert!(!rights.is_empty(), "rbac.yaml has no rules");
    rights
}

const RBAC: &str = include_str!("../../../../deploy/base/rbac.yaml");
pub const CRD: &str = include_str!("../../../../deploy/crd/failoverpolicies.yaml");
