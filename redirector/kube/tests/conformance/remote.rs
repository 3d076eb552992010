//! Other clusters, with policies, places and everything that happens while an agent runs.

use redirector_core::{
    Input,
    remote_cluster::ClusterPhase,
    service::{Members, Rank},
};
use redirector_kube::{
    api::{Batch, Change, FailoverPolicy, Object as _, RemoteCluster},
    index::{Index, News, PortState, Settings, reason},
    policies::ConditionKind,
};
use serde_json::{Value, json};

use super::told::{Script, Told, batch, object, reasons};

const CLUSTER: &str = "
settings cluster=east scope=labelled
cluster west cidrs=10.2.0.0/16 encryption=Off
cluster north cidrs=10.3.0.0/16 encryption=Off
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n1/a
slice web-west v4 port=http:9090/TCP by=me mcs=web from=west said=redirector.dev/regions:{\"a\":\"us\"}
  10.2.0.1@n1/a
slice web-north v4 port=http:9090/TCP by=me mcs=web from=north
  10.3.0.1@n1/a
regions a=eu";

#[test]
fn a_place_there_is_none_here_even_if_it_has_the_same_name() {
    let told = with_tiers(CLUSTER, None).1;
    let web = told.services.values().next().expect("web");
    let places: Vec<_> = web
        .backends
        .iter()
        .map(|listed| {
            let place = listed.locality.clone();
            let name = |name: Option<std::sync::Arc<str>>| name.unwrap_or_default().to_string();
            (
                name(place.cluster),
                name(place.node),
                name(place.zone),
                name(place.region),
                listed.rank,
            )
        })
        .collect();
    let place = |cluster: &str, region: &str, rank| {
        (cluster.to_owned(), "n1".to_owned(), "a".to_owned(), region.to_owned(), rank)
    };
    assert_eq!(
        places,
        [
            place("", "eu", Rank::Preferred),
            place("west", "us", Rank::Ready),
            place("north", "", Rank::Ready),
        ]
    );
}

#[test]
fn a_zone_there_without_a_region_is_not_looked_for_here() {
    let (index, _) = with_tiers(&CLUSTER.replace("regions a=eu", "regions b=eu"), None);
    assert!(index.unknown_zones().is_empty(), "the own node says where a is");
    let far = CLUSTER.replace("10.3.0.1@n1/a", "10.3.0.1@n1/far-away");
    let (index, _) = with_tiers(&far, None);
    assert!(index.unknown_zones().is_empty());
}

#[test]
fn only_clusters_that_a_tier_could_take_are_listed() {
    let here = json!({"name": "here", "locality": "Cluster"});
    for (tier, listed) in [
        (json!({"name": "w", "clusters": ["west"]}), "R west/10.2.0.1:9090"),
        (json!({"name": "w", "clusters": ["*"]}), "R west/10.2.0.1:9090 north/10.3.0.1:9090"),
        (json!({"name": "w", "clusters": ["east"]}), ""),
        (json!({"name": "w", "zones": ["b"]}), ""),
    ] {
        let (_, told) = with_tiers(CLUSTER, Some(json!([here, tier])));
        let line = format!("shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 {listed}");
        assert_eq!(told.lines(), [line.trim_end()], "{tier}");
    }
}

#[test]
fn a_tier_may_be_what_other_clusters_export_under_a_name_that_is_not_used_here() {
    let text = format!(
        "{CLUSTER}
slice dr-west v4 port=http:7070/TCP by=me mcs=web-dr from=west
  10.2.0.9
slice dr-north v4 port=http:7070/TCP by=me mcs=web-dr from=north
  10.3.0.9"
    );
    let tier = json!({"name": "dr", "clusters": ["*"], "service": {"name": "web-dr"}});
    let tiers = json!([{"name": "here", "locality": "Cluster"}, tier]);
    let (mut index, mut told) = with_tiers(&text, Some(tiers));
    assert_eq!(
        told.lines(),
        [
            "shop/web-dr:http => R west/10.2.0.9:7070 north/10.3.0.9:7070",
            "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080",
        ]
    );
    let web = told.services.values().last().expect("web");
    let Members::Exported { service, clusters } = &web.policy.tiers[1].members else {
        panic!("{:?}", web.policy.tiers)
    };
    assert_eq!((&*service.0, clusters.len()), ("shop/web-dr:http", 1));
    // The policy goes, and with it what nobody asks for.
    index.take(News::Policies(Batch {
        changes: vec![Change::Remove(object("p"))],
        is_synced: true,
    }));
    told.take(index.inputs());
    assert!(told.services.is_empty(), "{:?}", told.lines());
}

#[test]
fn a_service_whose_exports_a_policy_names_gets_them_once_it_names_them() {
    let text = format!(
        "{CLUSTER}\nservice spare ip=10.96.0.2 port=http:80/TCP
slice spare-1 of=spare v4 port=http:8080/TCP
  10.1.0.2
slice spare-west v4 port=http:7070/TCP by=me mcs=spare from=west
  10.2.0.9"
    );
    let tier = |clusters: Value| {
        let mut tier = json!({"name": "spare", "service": {"name": "spare"}});
        if !clusters.is_null() {
            tier["clusters"] = clusters;
        }
        json!([{"name": "here", "locality": "Cluster"}, tier])
    };
    let (mut index, mut told) = with_tiers(&text, Some(tier(json!(null))));
    assert_eq!(told.lines()[0], "shop/spare:http => P 10.1.0.2:8080");
    index.take(policy(Some(tier(json!(["west"])))));
    told.take(index.inputs());
    assert_eq!(told.lines()[0], "shop/spare:http => P 10.1.0.2:8080 R west/10.2.0.9:7070");
    index.take(policy(Some(tier(json!(null)))));
    told.take(index.inputs());
    assert_eq!(told.lines()[0], "shop/spare:http => P 10.1.0.2:8080");
}

#[test]
fn clusters_are_told_before_their_endpoints_and_a_phase_alone_is_no_change_of_services() {
    let (mut index, told) = with_tiers(CLUSTER, None);
    let [Input::Node(place), Input::RemoteClusters(clusters), Input::Replace(_)] = &told.inputs[..]
    else {
        panic!("{:?}", told.inputs)
    };
    assert_eq!(place.cluster.as_deref(), Some("east"));
    let names: Vec<&str> = clusters.iter().map(|it| &*it.name).collect();
    assert_eq!(names, ["north", "west"]);
    index.take(clusters_of("cluster west cidrs=10.2.0.0/16 encryption=Off phase=Silent"));
    let inputs = index.inputs();
    let [Input::RemoteClusters(clusters)] = &inputs[..] else { panic!("{inputs:?}") };
    assert_eq!(clusters[1].phase, ClusterPhase::Silent);
    assert!(index.inputs().is_empty(), "once");
}

#[test]
fn a_definition_that_is_removed_takes_its_clusters_along_and_nothing_else() {
    let (mut index, mut told) = with_tiers(CLUSTER, None);
    let gone = ["/west", "/north"].map(|name| Change::<RemoteCluster>::Remove(object(name)));
    index.take(News::Clusters(Batch { changes: gone.to_vec(), is_synced: true }));
    told.take(index.inputs());
    assert_eq!(told.lines(), ["shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080"]);
    let last = told.inputs.iter().rev().find_map(|input| match input {
        Input::RemoteClusters(clusters) => Some(clusters.len()),
        _ => None,
    });
    assert_eq!(last, Some(0));
}

#[test]
fn without_word_of_the_own_id_nothing_is_said_of_a_cluster_that_has_others() {
    let script = Script::read(CLUSTER);
    let step = &script.steps[0];
    let mut index = Index::new(Settings::new("n1"));
    index.take(News::Services(batch(&step.services, &[])));
    index.take(News::Slices(batch(&step.slices, &[])));
    index.take(News::Policies(Batch { changes: Vec::new(), is_synced: true }));
    index.take(News::Node(batch(step.node.as_slice(), &[])));
    index.take(News::Clusters(batch(&step.clusters, &[])));
    assert!(index.wants_property() && index.inputs().is_empty(), "it may be called west");
    index.take(News::ClusterProperty(Some("west".into())));
    let inputs = index.inputs();
    let [Input::Node(place), Input::RemoteClusters(clusters), Input::Replace(_)] = &inputs[..]
    else {
        panic!("{inputs:?}")
    };
    assert_eq!(place.cluster.as_deref(), Some("west"));
    assert_eq!(clusters.len(), 1, "the own one is none: {clusters:?}");
    assert_eq!(reasons(&index), [reason::OWN_CLUSTER]);
}

#[test]
fn a_hundred_clusters_are_a_hundred_places() {
    let mut text = "settings cluster=east
service web ip=10.96.0.1 port=http:80/TCP label=redirector.dev/failover:true\n"
        .to_owned();
    for number in 0..100 {
        text.push_str(&format!(
            "cluster c{number} cidrs=10.{}.0.0/16 encryption=Off
slice web-{number} v4 port=http:80/TCP by=me mcs=web from=c{number}
  10.{}.0.1\n",
            100 + number,
            100 + number
        ));
    }
    let (index, told) = Script::read(&text.replace("10.96.", "10.99.")).run();
    let web = told.services.values().next().expect("web");
    assert_eq!(web.backends.len(), 100);
    assert!(index.notices().is_empty(), "{:?}", index.notices());
}

#[test]
fn one_refusal_does_not_eject_a_backend_of_another_cluster() {
    let spec = |refused: i32| {
        json!({
            "targetRefs": [{"kind": "Service", "name": "web"}], "passive": {"refused": refused},
        })
    };
    let (mut index, _) = with_tiers(CLUSTER, None);
    index.take(policy_of(spec(1)));
    let inputs = index.inputs();
    let [Input::Change { put, .. }] = &inputs[..] else { panic!("{inputs:?}") };
    assert_eq!(put[0].policy.limits.refused, 2, "docs/adr/006");
}

/// Statement 2 of MULTICLUSTER 11: no tier that cannot take over is silent about it.
#[test]
fn a_tier_whose_cluster_does_not_serve_says_why() {
    let west = "cluster west cidrs=10.2.0.0/16 encryption=Off";
    let north = "cluster north cidrs=10.3.0.0/16 encryption=Off";
    let all = |clusters: &[&str]| json!(clusters);
    for (text, clusters, reason, why) in [
        (CLUSTER.to_owned(), all(&["west"]), "AsExpected", "every Service"),
        (CLUSTER.to_owned(), all(&["*"]), "AsExpected", "every Service"),
        (CLUSTER.to_owned(), all(&["west", "east"]), "AsExpected", "every Service"),
        (CLUSTER.to_owned(), all(&["wset"]), "NoSuchCluster", "there is no RemoteCluster wset"),
        (CLUSTER.to_owned(), all(&["west", "wset"]), "NoSuchCluster", "RemoteCluster wset"),
        (
            CLUSTER.replace(west, "").replace(north, ""),
            all(&["*"]),
            "NoSuchCluster",
            "no other cluster",
        ),
        (
            CLUSTER.replace(west, &format!("{west} phase=Silent")),
            all(&["west"]),
            "ClusterSilent",
            "cluster west is not heard",
        ),
        (
            CLUSTER.replace(west, &format!("{west} phase=Lost")),
            all(&["west"]),
            "ClusterSilent",
            "cluster west is lost",
        ),
        (
            CLUSTER.replace(west, &format!("{west} phase=Silent")),
            all(&["*"]),
            "AsExpected",
            "every Service",
        ),
        (
            CLUSTER.replace("from=west", "from=north"),
            all(&["west"]),
            "NotExported",
            "Service web of cluster west is not exported there",
        ),
        (
            CLUSTER.replace("service web ip=10.96.0.1", "service web ip=10.96.0.1 internal=Local"),
            all(&["west"]),
            "NotExported",
            "internalTrafficPolicy: Local",
        ),
        (
            CLUSTER.replace("10.2.0.1@", "10.9.0.1@"),
            all(&["west"]),
            "ClusterRefused",
            "left out by its RemoteCluster",
        ),
        (
            CLUSTER.replace(west, "cluster west cidrs=10.2.0.0/16 encryption=Required"),
            all(&["west"]),
            "ClusterInsecure",
            "NoGuard",
        ),
        (
            CLUSTER.replace(west, "cluster west cidrs=10.0.0.0/8 encryption=Off"),
            all(&["west"]),
            "ClusterRefused",
            "CIDROverlap",
        ),
        (
            CLUSTER.replace("port=http:9090", "port=a:1/TCP port=b:9090"),
            all(&["west"]),
            "PortMismatch",
            "no port that fits port http of web",
        ),
        (
            CLUSTER.replace("cluster=east ", ""),
            all(&["west"]),
            "ClusterRefused",
            "OwnClusterUnknown",
        ),
    ] {
        let here = json!({"name": "here", "locality": "Cluster"});
        let tiers = json!([here, {"name": "far", "clusters": clusters}]);
        assert_degraded(&text, tiers, reason, why);
    }
}

#[test]
fn a_tier_of_exports_says_why_it_has_none() {
    let text = format!(
        "{CLUSTER}
slice dr-west v4 port=http:7070/TCP by=me mcs=web-dr from=west
  10.2.0.9"
    );
    for (name, clusters, reason, why) in [
        ("web-dr", json!(["west"]), "AsExpected", "every Service"),
        ("web-dr", json!(["*"]), "AsExpected", "every Service"),
        ("web-dr", json!(["north"]), "NotExported", "Service web-dr of cluster north is not"),
        ("gone", json!(["*"]), "NotExported", "Service gone of cluster north is not exported"),
        ("web-dr", json!(["south"]), "NoSuchCluster", "there is no RemoteCluster south"),
    ] {
        let here = json!({"name": "here", "locality": "Cluster"});
        let tier = json!({"name": "dr", "clusters": clusters, "service": {"name": name}});
        assert_degraded(&text, json!([here, tier]), reason, why);
    }
}

/// What the condition Degraded says of policy `p`, while every backend is healthy.
fn assert_degraded(text: &str, tiers: Value, reason: &str, why: &str) {
    let (index, told) = with_tiers(text, Some(tiers));
    let backends = told.services.values().map(|service| service.backends.len()).max();
    let backends = backends.expect("a service");
    let state = PortState {
        is_programmed: true,
        not_installed: None,
        away: Vec::new(),
        vacancies: Vec::new(),
        backends,
        healthy: backends,
    };
    let states = index.with_policy().into_iter().map(|name| (name, state.clone())).collect();
    let statuses = index.statuses(&states);
    let conditions = &statuses[&object("p")].conditions;
    let degraded = conditions.iter().find(|it| it.kind == ConditionKind::Degraded);
    let degraded = degraded.expect("one of each kind");
    assert_eq!(degraded.reason, reason, "{text}\n{}", degraded.message);
    assert_eq!(degraded.status, Some(reason != "AsExpected"), "{}", degraded.message);
    assert!(degraded.message.contains(why), "{}", degraded.message);
}

/// An index with these objects and a policy `p` for `web`, and what it has told.
fn with_tiers(text: &str, tiers: Option<Value>) -> (Index, Told) {
    let (mut index, mut told) = Script::read(text).run_with(policy(tiers));
    told.take(index.inputs());
    (index, told)
}

fn policy(tiers: Option<Value>) -> News {
    let mut spec = json!({"targetRefs": [{"kind": "Service", "name": "web"}]});
    if let Some(tiers) = tiers {
        spec["tiers"] = tiers;
    }
    policy_of(spec)
}

fn policy_of(spec: Value) -> News {
    let policy = json!({
        "metadata": {"namespace": "shop", "name": "p", "uid": "p", "generation": 1},
        "spec": spec,
    });
    let found = FailoverPolicy::decode(policy.to_string().as_bytes()).expect("a policy");
    if let Err(why) = &found.spec {
        panic!("{why}: {policy}");
    }
    News::Policies(batch::<FailoverPolicy>(&[policy], &[]))
}

fn clusters_of(text: &str) -> News {
    News::Clusters(batch::<RemoteCluster>(&Script::read(text).steps[0].clusters, &[]))
}
