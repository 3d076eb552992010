//! The DaemonSet of one node is rolled out and back, fed by an API server that has the objects, the CRD
//! and the rights of the earlier commit, then those of this one.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use redirector_tests::{
    api::{self, Api, Rule, Token, builders},
    cluster::{Cluster, PORT, replica},
    dialer::{Dial, Line, Load, LoadRun},
    lab::Lab,
    netns::Netns,
    programs::Earlier,
    wait::{wait_until, wait_until_or},
};
use serde_json::{Value, json};

use crate::kube::fixture::rights_of;

/// As `rbac.yaml` calls it.
const AGENT: &str = "system:serviceaccount:redirector-system:redirector";
const NAMESPACE: &str = "redirector-system";
/// What the example policies speak of, and the name of the port.
const SERVICES: [(&str, &str); 7] = [
    ("catalogue", ""),
    ("checkout", ""),
    ("orders-db", ""),
    ("orders-db-standby", ""),
    ("reports", ""),
    ("search", ""),
    ("search-static", "http"),
];
/// A policy as today's CRD completes it: every default is written out.
const COMPLETE: &str = "
targetRefs: [{kind: Service, name: search-static, group: ''}]
tiers: [{name: here, zones: [a]}, {name: there, zones: [b], regions: [eu]}]
mode: Spill
overprovisioningPercent: 140
minHealthyPercent: 50
allDown: Panic
connectTimeout: 1s
onBackendLost: Keep
failback: {mode: Automatic, holdDown: 30s, ramp: 20s}
passive: {refused: 3, timeouts: 5, baseEjection: 10s, maxEjection: 300s}
probe: {tcp: {}, interval: 1s, timeout: 500ms, unhealthy: 2, healthy: 3}
";

/// What a service does and would do: of each tier its load, of each backend its share.
type Decisions = BTreeMap<String, Value>;

pub(crate) fn roll_out(earlier: &Earlier, now: &Path) {
    let rbac = |path: &Path| fs::read_to_string(path).expect("rbac.yaml");
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
    let old_rights = rights_of(&rbac(&earlier.file("deploy/base/rbac.yaml")));
    let new_rights = rights_of(&rbac(&deploy.join("base/rbac.yaml")));
    let old_crd = fs::read_to_string(earlier.file("deploy/crd/failoverpolicies.yaml"));
    let new_crd = fs::read_to_string(deploy.join("crd/failoverpolicies.yaml")).expect("the CRD");
    let policies = earlier.file("deploy/examples/policies");
    let mut cluster = start(earlier, &old_rights, &old_crd.expect("the earlier CRD"), &policies);
    let before = decisions(&cluster);
    let loads = dial(&cluster);

    // The image comes before the rights, or after them.
    replace(&mut cluster, now);
    assert_eq!(decisions(&cluster), before, "with the earlier rights and CRD");
    for name in ["checkout", "orders-db", "search"] {
        wait_until("this version reports", || accepted(&cluster, name).as_deref() == Some("True"));
    }
    grant(&cluster, &new_rights);
    cluster.api.put_yaml(&new_crd).expect("today's CRD");
    let complete = builders::FailoverPolicy::new("shop", "complete", COMPLETE);
    cluster.api.put(complete).expect("a policy");
    wait_until("a policy of today is in force", || {
        accepted(&cluster, "complete").as_deref() == Some("True")
    });
    let after = decisions(&cluster);

    // Back: what is stored is of today, and what rights there are.
    replace(&mut cluster, &earlier.binary());
    assert_eq!(decisions(&cluster), after, "of the earlier version, with a policy of today");
    grant(&cluster, &old_rights);
    replace(&mut cluster, now);
    assert_eq!(decisions(&cluster), after, "there again");

    let (mut dials, mut faults) = (0, Vec::new());
    for load in loads {
        let (lines, sums) = load.stop().expect("the end of a load");
        dials += sums.dials;
        faults.extend(lines.into_iter().filter_map(Line::dialled));
    }
    println!("{dials} dials, {} failed", faults.len());
    assert!(faults.is_empty(), "{faults:?}");
    let forbidden = cluster.api.requests().into_iter().filter(|request| request.code == 403);
    let forbidden: Vec<_> = forbidden.map(|request| (request.verb, request.path)).collect();
    assert!(forbidden.is_empty(), "neither version asks for what either may not: {forbidden:?}");
}

fn start(earlier: &Earlier, rights: &[Rule], crd: &str, policies: &Path) -> Cluster {
    let options = api::Options {
        tokens: tokens(rights),
        bookmarks: Duration::from_secs(6),
        needs_crd: true,
        ..api::Options::default()
    };
    let start = |netns: &Netns| Api::start(api::Options { netns: Some(netns.clone()), ..options });
    let arguments = ["--namespace", NAMESPACE].map(str::to_owned).into();
    let prepare = |api: &Api, _: &Lab| {
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
        api.put(namespace)?;
        api.put_yaml(crd)?;
        for (number, (name, port)) in (1..).zip(SERVICES) {
            let service = builders::Service::new("shop", name).port(port, "TCP", 80);
            let service = service.cluster_ips(&[&format!("10.96.1.{number}")]);
            let service = service.label("redirector.dev/failover", "true");
            api.put(service.spec("selector", json!({"app": name})))?;
            let slice = builders::EndpointSlice::new("shop", &format!("{name}-1"), name);
            let slice = slice.port(port, "TCP", PORT);
            let slice = slice.managed_by("endpointslice-controller.k8s.io");
            let slice =
                [(1, "a"), (2, "b"), (3, "b")].iter().fold(slice, |slice, (number, zone)| {
                    let endpoint = builders::Endpoint::new(&replica(*number)[0].to_string());
                    slice.endpoint(endpoint.node(&format!("n{number}")).zone(zone))
                });
            api.put(slice)?;
        }
        for entry in fs::read_dir(policies)? {
            api.put_yaml(&fs::read_to_string(entry?.path())?)?;
        }
        Ok(())
    };
    let cluster = Cluster::with_binary(earlier.binary(), start, 3, arguments, prepare);
    let cluster = cluster.expect("a cluster");
    let all: Vec<_> = SERVICES.iter().map(|(name, _)| *name).collect();
    wait_until("all services are in the kernel", || {
        let dump = cluster.agent.dump().to_string();
        all.iter().all(|name| dump.contains(&format!("shop/{name}")))
    });
    cluster
}

fn dial(cluster: &Cluster) -> Vec<LoadRun> {
    let load = |number: usize| {
        let dial = Dial::tcp(format!("10.96.1.{number}:80").parse().expect("an address"));
        let load = Load { threads: 2, ..Load::new(dial, 40) };
        cluster.client().and_then(|client| client.load(load)).expect("a load")
    };
    (1..=SERVICES.len()).map(load).collect()
}

/// As the DaemonSet's controller does it: the old pod ends, then the new one begins.
fn replace(cluster: &mut Cluster, binary: &Path) {
    let (status, _) = cluster.agent.stop().expect("the end of an agent");
    assert!(status.success(), "{status}");
    cluster.agent.set_binary(binary.to_owned());
    cluster.agent.spawn_again().expect("an agent");
    cluster.agent.wait_until_ready().expect("it is ready");
    let explained = |service| asked(cluster, "explain", &[&shown(service)]);
    let is_synced = || SERVICES.iter().all(|service| explained(*service).is_some());
    wait_until_or("it hears of all services", is_synced, || cluster.agent.log());
}

fn grant(cluster: &Cluster, rights: &[Rule]) {
    cluster.api.set_tokens(tokens(rights)).expect("other rights");
}

fn tokens(rights: &[Rule]) -> Vec<Token> {
    vec![
        Token::limited("agent-token", AGENT, rights.to_vec()),
        Token::administrator("admin-token", "admin"),
    ]
}

/// The status of a policy's condition `Accepted`.
fn accepted(cluster: &Cluster, policy: &str) -> Option<String> {
    let found = cluster.api.get("failoverpolicies", "shop", policy)?;
    let conditions = found["status"]["conditions"].as_array()?;
    let found = conditions.iter().find(|condition| condition["type"] == "Accepted")?;
    found["status"].as_str().map(str::to_owned)
}

fn decisions(cluster: &Cluster) -> Decisions {
    // Probes begin anew in each agent: their answers are waited for.
    let decide = || {
        let mut decisions = Decisions::new();
        for service in SERVICES.map(shown) {
            for dead in ["", "zone=a", "zone=b"] {
                let found = if dead.is_empty() {
                    asked(cluster, "explain", &[&service])?
                } else {
                    asked(cluster, "simulate", &["--dead", dead, "--", &service])?
                };
                decisions.insert(format!("{service} without {dead}"), shares(&found));
            }
        }
        Some(decisions)
    };
    let mut decided = None;
    wait_until("each service is explained and simulated", || {
        decided = decide();
        decided.is_some()
    });
    decided.expect("it was waited for")
}

/// As a port's service is called.
fn shown((name, port): (&str, &str)) -> String {
    if port.is_empty() { format!("shop/{name}") } else { format!("shop/{name}:{port}") }
}

fn asked(cluster: &Cluster, verb: &str, arguments: &[&str]) -> Option<Value> {
    let arguments = [&["-o", "json"], arguments].concat();
    let output = cluster.agent.ask(verb, &arguments).expect("redirector");
    let text = String::from_utf8_lossy(&output.stdout);
    let first = serde_json::Deserializer::from_str(&text).into_iter::<Value>().next()?;
    first.ok()
}

/// Of an explanation, or of the only one in a list: what decides.
fn shares(explanation: &Value) -> Value {
    let explanation = explanation.get(0).unwrap_or(explanation);
    let pick = |value: &Value, names: &[&str]| -> Value {
        names.iter().map(|name| ((*name).to_owned(), value[*name].clone())).collect()
    };
    let mut decided = pick(explanation, &["service", "mode", "allDown", "forced"]);
    let families = explanation["families"].as_array().expect("families");
    decided["families"] = families
        .iter()
        .map(|family| {
            let tiers = family["tiers"].as_array().into_iter().flatten().map(|tier| {
                let mut told = pick(tier, &["name", "ofService", "load", "due", "healthy"]);
                let backends = tier["backends"].as_array().into_iter().flatten();
                told["backends"] = backends
                    .map(|backend| pick(backend, &["backend", "share", "node", "zone"]))
                    .collect();
                told
            });
            tiers.collect::<Value>()
        })
        .collect();
    decided
}
