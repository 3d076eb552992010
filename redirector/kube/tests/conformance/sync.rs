//! When the core is told, and of what: nothing that is half known, and nothing twice.

use redirector_core::{
    Input, Moment, State,
    service::{Members, Policy, Probe},
};
use redirector_kube::{
    api::{Batch, Change, EndpointSlice, FailoverPolicy, Node, Object, RemoteCluster, Service},
    index::{Index, News, Scope, Settings, reason},
};
use serde_json::json;

use super::told::{Script, Told, batch, object};

const CLUSTER: &str = "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2/b
  10.1.0.2@n1/a
service api ip=10.96.0.2 port=http:80/TCP
slice api-1 of=api v4 port=http:8080/TCP
  10.1.0.3@n2/b
regions a=eu b=us";

#[test]
fn nothing_is_said_before_everything_has_been_heard() {
    for missing in 0..5 {
        let mut index = Index::new(Settings { scope: Scope::All, ..settings() });
        let mut all = complete(CLUSTER);
        let last = all.remove(missing);
        for news in all {
            index.take(news);
            assert!(index.inputs().is_empty(), "without {last:?}");
            assert!(!index.is_synced());
        }
        index.take(last);
        let inputs = index.inputs();
        let [Input::Node(place), Input::Replace(services)] = &inputs[..] else {
            panic!("first where, then all there is: {inputs:?}");
        };
        assert_eq!(place.node.as_deref(), Some("n1"));
        assert_eq!(place.region.as_deref(), Some("eu"));
        assert_eq!(services.len(), 2);
        assert!(index.inputs().is_empty(), "once");
    }
}

#[test]
fn a_list_that_is_not_complete_yet_is_none() {
    let mut index = Index::new(settings());
    let mut all = complete(CLUSTER);
    let News::Slices(slices) = &mut all[1] else { panic!("slices") };
    slices.is_synced = false;
    for news in all {
        index.take(news);
    }
    assert!(index.inputs().is_empty());
    index.take(News::Slices(Batch { changes: Vec::new(), is_synced: true }));
    assert_eq!(index.inputs().len(), 2);
}

#[test]
fn another_node_is_not_the_own_one() {
    let mut index = heard(Settings::new("n7"), CLUSTER);
    assert!(index.inputs().is_empty(), "n7 has not been heard of");
}

#[test]
fn a_relist_of_the_same_says_nothing() {
    let (mut index, _) = Script::read(CLUSTER).run();
    for news in complete(CLUSTER) {
        index.take(news);
    }
    assert!(index.inputs().is_empty());
}

#[test]
fn one_change_of_one_service_is_one_put() {
    let later = "\nlater\nslice api-1 of=api v4 port=http:8080/TCP\n  10.1.0.4@n2/b";
    let (_, told) = Script::read(&format!("{CLUSTER}{later}")).run();
    let [_, _, Input::Change { put, remove }] = &told.inputs[..] else {
        panic!("{:?}", told.inputs)
    };
    assert_eq!((put.len(), &*put[0].name.0, remove.len()), (1, "shop/api:http", 0));
}

#[test]
fn a_change_that_the_core_does_not_see_is_none() {
    let later = "\nlater\nservice web ip=10.96.0.1 port=http:80/TCP label=team:a externally=Local";
    let (_, told) = Script::read(&format!("{CLUSTER}{later}")).run();
    assert_eq!(told.inputs.len(), 2, "{:?}", told.inputs);
}

#[test]
fn a_node_that_is_labelled_anew_is_said_with_what_follows_from_it() {
    let later = "\nlater\nnode zone=b region=us addresses=192.168.0.1";
    let (_, told) = Script::read(&format!("{CLUSTER}{later}")).run();
    let [_, _, Input::Node(place)] = &told.inputs[..] else { panic!("{:?}", told.inputs) };
    assert_eq!((place.zone.as_deref(), place.region.as_deref()), (Some("b"), Some("us")));
}

#[test]
fn a_node_that_is_gone_from_the_api_is_still_where_it_was() {
    let (mut index, _) = Script::read(CLUSTER).run();
    let gone = object("/n1");
    index.take(News::Node(Batch { changes: vec![Change::Remove(gone)], is_synced: true }));
    assert!(index.inputs().is_empty());
}

#[test]
fn a_zone_that_moves_to_another_region_moves_its_backends() {
    let (_, told) = Script::read(&format!("{CLUSTER}\nlater\nregions a=eu b=asia")).run();
    let regions: Vec<_> = told
        .services
        .values()
        .flat_map(|service| &service.backends)
        .map(|backend| backend.locality.region.as_deref())
        .collect();
    assert_eq!(regions, [Some("asia"), Some("asia"), Some("eu")]);
}

#[test]
fn what_cannot_be_read_leaves_the_last_good_version_in_force() {
    let (mut index, told) = Script::read(CLUSTER).run();
    let why = "spec is odd".to_owned();
    let rejected = Change::Rejected { object: object("web"), why };
    index.take(News::Services(Batch { changes: vec![rejected], is_synced: true }));
    assert!(index.inputs().is_empty());
    let reasons: Vec<_> = index.notices().into_iter().map(|notice| notice.reason).collect();
    assert_eq!(reasons, [reason::UNREADABLE]);
    index.take(complete(CLUSTER).remove(0));
    assert!(index.notices().is_empty(), "it can be read again");
    assert_eq!(told.services.len(), 2);
}

#[test]
fn affinity_beyond_what_the_api_allows_is_no_service() {
    for seconds in [0, -1, 86_401] {
        let text = format!("service web ip=10.96.0.1 port=http:80/TCP affinity={seconds}");
        let service = &Script::read(&text).steps[0].services[0];
        let why = Service::decode(service.to_string().as_bytes()).expect_err("no service");
        assert!(why.contains("timeoutSeconds"), "{why}");
    }
}

#[test]
fn a_port_beyond_65535_is_no_service() {
    for port in ["http:0/TCP", "http:65536/TCP", "http:-1/TCP", "http:80/TCP:65536"] {
        let text = format!("service web ip=10.96.0.1 port={port}");
        let service = &Script::read(&text).steps[0].services[0];
        let why = Service::decode(service.to_string().as_bytes()).expect_err("no service");
        assert!(why.contains("outside 1 to 65535"), "{why}");
    }
}

#[test]
fn the_api_servers_endpoints_are_remembered() {
    let cluster = "
service default/kubernetes ip=10.96.0.1 port=https:443/TCP no-selector
slice default/kubernetes of=kubernetes v4 port=https:6443/TCP by=nobody
  192.168.0.9
  192.168.0.8";
    let (index, told) = Script::read(cluster).run();
    assert!(told.services.is_empty());
    let both = ["192.168.0.8:6443", "192.168.0.9:6443"].map(|text| text.parse().expect("one"));
    assert_eq!(index.api_servers(), both);
    let (index, _) =
        Script::read(&format!("{cluster}\nlater\nremove-slice default/kubernetes")).run();
    assert_eq!(index.api_servers(), both, "the last ones that there were");
}

#[test]
fn tcp_is_probed_and_udp_is_not() {
    let (_, told) = Script::read("service web ip=10.96.0.1 port=a:1/TCP port=b:2/UDP").run();
    let probes: Vec<_> = told.services.values().map(|service| &service.policy.probe).collect();
    assert_eq!(probes, [&Some(Probe::default()), &None]);
}

#[test]
fn a_policy_adopts_its_service_and_brings_its_tiers_along_without_their_addresses() {
    let mut index =
        heard(settings(), &CLUSTER.replace("slice api-1", "service far ip=10.96.0.3\nslice api-1"));
    let mut told = Told::default();
    told.take(index.inputs());
    assert!(told.services.is_empty(), "nobody has asked for any");

    index.take(policies(&[json!({"name": "api", "port": "80"})]));
    told.take(index.inputs());
    assert_eq!(
        told.lines(),
        [
            "shop/api:http => P 10.1.0.3:8080",
            "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 10.1.0.2:8080",
        ]
    );
    assert!(index.is_ours(&object("web")));
    assert!(!index.is_ours(&object("api")), "it is only a tier");
    assert!(index.service(&object("far")).is_some() && !index.is_ours(&object("far")));
    let tiers = &told.services.values().last().expect("web").policy.tiers;
    let Members::Service(other) = &tiers[1].members else { panic!("{tiers:?}") };
    assert_eq!(&*other.0, "shop/api:http");
    let mut state = State::new();
    for input in told.inputs.clone() {
        let happened = state.apply(input, Moment::default());
        assert!(happened.is_empty(), "{happened:?}");
    }
    assert_eq!(state.services().count(), 2);

    index.take(News::Policies(Batch {
        changes: vec![Change::Remove(object("p"))],
        is_synced: true,
    }));
    told.take(index.inputs());
    assert!(told.services.is_empty(), "nobody asks for any now");
}

#[test]
fn a_tier_names_a_port_by_name_or_number_or_the_only_one() {
    let cluster = "
service web ip=10.96.0.1 port=http:80/TCP
service api ip=10.96.0.2 port=main:80/TCP port=admin:81/TCP
service one ip=10.96.0.3 port=only:9/TCP port=dns:53/UDP";
    for (tier, found) in [
        (json!({"name": "api", "port": "main"}), "shop/api:main"),
        (json!({"name": "api", "port": "81"}), "shop/api:admin"),
        (json!({"name": "api"}), "shop/api"),
        (json!({"name": "one"}), "shop/one:only"),
        (json!({"name": "one", "port": "dns"}), "shop/one:dns"),
        (json!({"name": "gone", "port": "http"}), "shop/gone:http"),
    ] {
        let mut index = heard(settings(), cluster);
        index.take(policies(std::slice::from_ref(&tier)));
        let mut told = Told::default();
        told.take(index.inputs());
        let web = told.services.values().find(|service| &*service.name.0 == "shop/web:http");
        let tiers = &web.expect("web").policy.tiers;
        let Members::Service(other) = &tiers[1].members else { panic!("{tiers:?}") };
        assert_eq!(&*other.0, found, "{tier}");
    }
}

/// docs/adr/006: what another writer than the controller lists may be another namespace's.
#[test]
fn one_refusal_does_not_eject_a_backend_that_nobody_vouches_for() {
    for (maker, refused, limit) in
        [("", 1, 1), (" by=me", 1, 2), (" by=me", 0, 0), (" by=me", 5, 5)]
    {
        let text = format!(
            "service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP{maker}
  10.1.0.1@n2/b"
        );
        let trusted = vec!["10.1.0.0/16".parse().expect("a network")];
        let mut index = heard(Settings { trusted, ..settings() }, &text);
        let policy = json!({
            "metadata": {"namespace": "shop", "name": "p", "uid": "u", "generation": 1},
            "spec": {
                "targetRefs": [{"kind": "Service", "name": "web"}],
                "passive": {"refused": refused},
            },
        });
        index.take(News::Policies(batch::<FailoverPolicy>(&[policy], &[])));
        let told: Vec<_> = index.inputs();
        let [_, Input::Replace(services)] = &told[..] else { panic!("{told:?}") };
        assert_eq!(services[0].policy.limits.refused, limit, "{maker}: {refused}");
    }
}

#[test]
fn a_service_without_a_policy_has_the_default_one() {
    let (_, told) = Script::read(CLUSTER).run();
    for service in told.services.values() {
        let default = Policy { probe: Some(Probe::default()), ..Policy::default() };
        assert_eq!(service.policy, default);
    }
}

/// A policy `p` for `web`: its zone, then these Services.
fn policies(others: &[serde_json::Value]) -> News {
    let mut tiers = vec![json!({"name": "near", "locality": "Zone"})];
    tiers.extend(others.iter().map(|other| json!({"name": "backup", "service": other})));
    let policy = json!({
        "metadata": {"namespace": "shop", "name": "p", "uid": "p", "generation": 1},
        "spec": {"targetRefs": [{"kind": "Service", "name": "web"}], "tiers": tiers},
    });
    News::Policies(batch::<FailoverPolicy>(&[policy], &[]))
}

fn settings() -> Settings {
    Settings::new("n1")
}

/// An index that has heard of all of it.
fn heard(settings: Settings, text: &str) -> Index {
    let mut index = Index::new(settings);
    for news in complete(text) {
        index.take(news);
    }
    index
}

/// Services, slices, policies, the own node and other clusters, complete.
fn complete(text: &str) -> Vec<News> {
    let script = Script::read(text);
    let step = &script.steps[0];
    let node = step.node.clone().expect("a node");
    vec![
        News::Services(batch::<Service>(&step.services, &[])),
        News::Slices(batch::<EndpointSlice>(&step.slices, &[])),
        News::Policies(Batch { changes: Vec::new(), is_synced: true }),
        News::Node(batch::<Node>(&[node], &[])),
        News::Clusters(batch::<RemoteCluster>(&step.clusters, &[])),
    ]
}
