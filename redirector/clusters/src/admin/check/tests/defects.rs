//! What can be wrong between two clusters that were well, and which question finds it.

use super::*;
use Verdict::{Failed, Unknown, Warning};

/// A defect.
pub(super) struct Defect {
    pub check: Check,
    pub verdict: Verdict,
    /// A part of what is found.
    pub found: &'static str,
    /// A part of the fix.
    pub fix: &'static str,
    /// Brings it about.
    pub seed: fn(&mut Facts),
}

pub(super) fn all() -> Vec<Defect> {
    let mut all = of_this_cluster();
    all.extend(of_its_api_server());
    all.extend(of_the_account());
    all.extend(of_the_outbox());
    all.extend(of_addresses_and_ways());
    all
}

fn of(
    check: Check,
    verdict: Verdict,
    found: &'static str,
    fix: &'static str,
    seed: fn(&mut Facts),
) -> Defect {
    Defect { check, verdict, found, fix, seed }
}

fn of_this_cluster() -> Vec<Defect> {
    let (crds, identity) = (Check::Crds, Check::Identity);
    vec![
        of(crds, Failed, "exportedservices", "deploy/crd", |f| {
            f.here.served.remove("redirector.dev/v1alpha1");
        }),
        of(crds, Failed, "only the older v1alpha1", "mcs", |f| {
            let all = f.here.served.remove("multicluster.x-k8s.io/v1beta1").expect("it is there");
            f.here.served.insert("multicluster.x-k8s.io/v1alpha1", all);
        }),
        of(identity, Failed, "not known", "ClusterProperty", |f| f.here.identity.property = None),
        of(identity, Failed, "\"middle\"", "one id", |f| f.here.given = Some("middle".into())),
        of(identity, Failed, "this very cluster", "leave west", |f| {
            f.here.identity.uid = "u-west".into();
        }),
        of(identity, Failed, "id of this cluster", "leave east", |f| {
            let mut spec = spec("LoadBalancer");
            spec["uid"] = json!("u-3");
            f.here.clusters.push(remote("east", &spec));
        }),
        of(identity, Failed, "west and far are one cluster", "leave", |f| {
            f.here.clusters.push(remote("far", &spec("LoadBalancer")));
        }),
        of(
            Check::Conflicts,
            Warning,
            "shop/web differs between clusters: port http",
            "alike",
            |f| {
                let message = "port http: west (older) says 80, east 8080";
                f.here.exports.push(json!({
                    "metadata": {"namespace": "shop", "name": "web"},
                    "status": {"conditions": [
                        {"type": "Conflict", "status": "True", "message": message},
                    ]},
                }));
            },
        ),
        of(Check::Datapath, Failed, "Cilium", "hostNamespaceOnly", |f| {
            f.here.cilium = Some(json!({"data": {"kube-proxy-replacement": "true"}}));
        }),
        of(Check::Datapath, Failed, "a/redirector, b/redirector", "one of them", |f| {
            let labels = json!({"app.kubernetes.io/name": "redirector"});
            let set = |namespace| json!({"metadata": {"namespace": namespace, "name": "redirector", "labels": labels}});
            f.here.daemon_sets = ["a", "b"].map(set).into();
        }),
        of(Check::Policies, Failed, "FailoverPolicy shop/web names wets", "east, west", |f| {
            f.here.policies[0]["spec"]["tiers"][0]["clusters"] = json!(["wets"]);
        }),
    ]
}

fn of_its_api_server() -> Vec<Defect> {
    vec![
        of(Check::Reachable, Failed, "no connection", "--server URL", |f| {
            f.there[0].answer = Some(Err(Trouble::Unreachable("no connection".into())));
        }),
        of(Check::Reachable, Failed, "500", "API server", |f| {
            f.there[0].answer = Some(Err(Trouble::Other("it fails (500)".into())));
        }),
        of(Check::Tls, Failed, "no TLS", "join west", |f| {
            f.there[0].answer = Some(Err(Trouble::Tls("no TLS".into())));
        }),
    ]
}

fn of_the_account() -> Vec<Defect> {
    let (token, rights) = (Check::Token, Check::Rights);
    vec![
        of(token, Failed, "401", "join west", |f| {
            f.there[0].answer = Some(Err(Trouble::Unauthorized("401".into())));
        }),
        of(token, Failed, "no Secret", "join west", |f| {
            f.there[0].credentials = Err("there is no Secret".into());
        }),
        of(token, Failed, "after half of its life", "Deployment", |f| f.now = NOW + 26 * 86_400),
        of(token, Failed, "expired at", "join west", |f| f.now = NOW + 30 * 86_400),
        of(rights, Failed, "may not", "Roles anew", |f| {
            let needed = needed("east").into_iter().next().expect("one");
            rights_of(f).asked.insert(needed, false);
        }),
        of(rights, Failed, "get secrets", "stolen", |f| {
            let secrets = questions("east").into_iter().find(|of| of.resource == "secrets");
            rights_of(f).asked.insert(secrets.expect("it is asked"), true);
        }),
        of(rights, Failed, "in kube-system", "importer-east", |f| {
            let mut beyond = needed("east").into_iter().next().expect("one");
            beyond.namespace = "kube-system".into();
            rights_of(f).listed.insert(beyond);
        }),
    ]
}

fn of_the_outbox() -> Vec<Defect> {
    let manifest = Check::Manifest;
    vec![
        of(manifest, Failed, "no exporter", "Deployment", |f| {
            f.there[0].beat = Some(Beat { manifest: None, moved: false });
        }),
        of(manifest, Failed, "annotation", "Deployment", |f| {
            beat(f).manifest = Some(Err("annotation digest is missing".into()));
        }),
        of(manifest, Failed, "does not move", "Deployment", |f| beat(f).moved = false),
        of(manifest, Failed, "another cluster", "leave west", |f| said(f).uid = "u-new".into()),
        of(manifest, Failed, "calls itself \"wild\"", "join wild", |f| {
            said(f).cluster = "wild".into();
        }),
        of(manifest, Failed, "not what its manifest says", "exporter", |f| {
            said(f).digest = "00".into();
        }),
        of(manifest, Failed, "not complete, such as shop.web", "exporter", |f| {
            outbox_of(f).slices.clear();
        }),
        of(Check::Namespaces, Warning, "not here: shop", "create namespace shop", |f| {
            f.here.namespaces.clear();
        }),
        of(Check::Namespaces, Warning, "by spec.namespaces", "label them", |f| {
            let mut spec = spec("Pod");
            spec["namespaces"] = json!({"matchLabels": {"tier": "prod"}});
            set_clusters(f, &spec);
        }),
    ]
}

fn of_addresses_and_ways() -> Vec<Defect> {
    vec![
        of(Check::Cidrs, Failed, "10.1.0.0/24 of pods of node n1", "ranges of their own", |f| {
            let mut spec = spec("Pod");
            spec["cidrs"] = json!(["10.0.0.0/8"]);
            set_clusters(f, &spec);
        }),
        of(
            Check::Cidrs,
            Failed,
            "1 of 2 endpoints are outside, such as 10.66.0.1",
            "--cidr",
            |f| {
                let (outbox, manifest) = outbox(&["10.2.0.7", "10.66.0.1"]);
                *outbox_of(f) = outbox;
                *said(f) = manifest;
            },
        ),
        of(Check::Dial, Failed, "10.2.0.7:8080 (refused)", "firewalls", |f| {
            f.there[0].dials[0].connect = Err("refused".into());
        }),
        of(Check::Mtu, Failed, "takes 1280", "MTU", |f| {
            f.there[0].dials[0].mtu = Mtu::TooLarge(1_280);
        }),
        of(Check::Mtu, Unknown, "no host answered", "ICMP", |f| {
            f.there[0].dials[0].mtu = Mtu::Unanswered;
        }),
        of(Check::Loops, Warning, "name each other", "LastResort", |f| {
            set_clusters(f, &spec("LoadBalancer"));
            let mut back = f.here.policies[0].clone();
            back["spec"]["tiers"][0]["clusters"] = json!(["east"]);
            f.there[0].policies = Some(vec![back]);
        }),
        of(Check::Loops, Unknown, "send to its LoadBalancers", "--remote-context", |f| {
            set_clusters(f, &spec("LoadBalancer"));
        }),
    ]
}

fn rights_of(facts: &mut Facts) -> &mut Rights {
    facts.there[0].rights.as_mut().expect("rights")
}
