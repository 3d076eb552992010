//! Texts of addresses, each through both ways that it can come: as an endpoint, and as an external
//! or load-balancer address of a Service. What is never used is never used, and good neighbours are
//! kept.

mod texts;

use std::net::IpAddr;

use redirector_core::{Input, address::Refusal, service::Service as CoreService};
use redirector_kube::{
    api::{Batch, Change, EndpointSlice, Node, Object, Service, Unusable},
    index::{Index, News, Scope, Settings, reason},
};
use serde_json::{Value, json};

use self::texts::{
    Expected::{
        self, Form, LinkLocal, Loopback, Mapped, Metadata, Multicast, Reserved, Unspecified, Used,
    },
    TEXTS,
};

/// Good neighbours, of either family.
const GOOD: [&str; 2] = ["10.77.0.1", "fd77::1"];

#[test]
fn there_are_enough_texts_of_either_kind() {
    assert!(TEXTS.len() >= 150, "{}", TEXTS.len());
    let used = TEXTS.iter().filter(|(_, expected)| matches!(expected, Used | Mapped)).count();
    assert!(used >= 50, "{used}");
}

#[test]
fn as_an_endpoint_it_is_used_or_left_out_and_its_neighbours_stay() {
    for (text, expected) in TEXTS.iter() {
        let is_six = text.contains(':');
        let good = GOOD[usize::from(is_six)];
        let slice = slice(is_six, &[good, text]);
        let refusal = refusal(*expected).or((*expected == Mapped).then_some(Unusable::Family));
        let found: Vec<Unusable> = slice.refused.iter().map(|refused| refused.why).collect();
        assert_eq!(found, Vec::from_iter(refusal), "{text:?}");

        let (index, services) = told(service(&[], &[]), Some(slice));
        let listed: Vec<IpAddr> =
            services[0].backends.iter().map(|backend| backend.backend.address).collect();
        let own = refusal.is_none().then(|| text.parse().expect("an address"));
        let mut expected: Vec<IpAddr> = Vec::from_iter(own);
        expected.push(good.parse().expect("an address"));
        expected.sort_unstable();
        assert_eq!(listed, expected, "{text:?}");
        assert_noticed(&index, refusal, text);
    }
}

#[test]
fn as_an_address_of_a_service_it_is_a_frontend_or_none_and_its_neighbours_stay() {
    for (text, expected) in TEXTS.iter() {
        // The API drops an empty load-balancer address; kube-proxy ignores it.
        let is_ignored = text.is_empty();
        for (external, balanced) in [(vec![text.as_str()], vec![]), (vec![], vec![text.as_str()])] {
            let is_external = !external.is_empty();
            let with = |mut list: Vec<&'static str>| {
                list.extend(GOOD);
                list
            };
            let (index, services) = told(service(&with(external), &with(balanced)), None);
            let refusal = refusal(*expected);
            let address = text.parse::<IpAddr>().ok().filter(|_| refusal.is_none());
            let mut expected: Vec<IpAddr> = address.iter().map(IpAddr::to_canonical).collect();
            expected.extend(["10.96.0.1", "fd96::1"].iter().chain(&GOOD).map(|good| {
                let good: IpAddr = good.parse().expect("an address");
                good
            }));
            expected.sort_unstable();
            let mut found: Vec<IpAddr> =
                services[0].frontends.iter().map(|frontend| frontend.address).collect();
            found.sort_unstable();
            assert_eq!(found, expected, "{text:?}");
            assert_noticed(&index, refusal.filter(|_| is_external || !is_ignored), text);
        }
    }
}

#[test]
fn as_a_cluster_address_or_that_of_a_node_it_is_a_frontend_or_none() {
    for (text, expected) in TEXTS.iter().filter(|(text, _)| !text.is_empty()) {
        let json = json!({
            "metadata": {"namespace": "shop", "name": "web"},
            "spec": {"clusterIP": text, "selector": {"app": "web"}, "ports": [{"port": 80}]},
        });
        let service = Service::decode(json.to_string().as_bytes()).expect("a service");
        assert_eq!(service.cluster_ips.len(), 1, "{text:?}");
        let found = service.cluster_ips[0].as_ref().err().map(|refused| refused.why);
        assert_eq!(found, refusal(*expected), "{text:?}");

        let json = json!({
            "metadata": {"name": "n1"},
            "status": {"addresses": [{"type": "InternalIP", "address": text}]},
        });
        let node = Node::decode(json.to_string().as_bytes()).expect("a node");
        assert_eq!(node.addresses.is_empty(), refusal(*expected).is_some(), "{text:?}");
    }
}

#[test]
fn a_slice_full_of_refused_addresses_remembers_a_few_and_counts_them_all() {
    let many: Vec<String> =
        (0..1_000).map(|number| format!("127.0.{}.{}", number / 250, number % 250)).collect();
    let texts: Vec<&str> =
        many.iter().map(String::as_str).chain(["x".repeat(100_000).leak() as &str]).collect();
    let slice = slice(false, &texts);
    assert_eq!(slice.refused_count, 1_001);
    assert!(slice.refused.len() <= 8, "{}", slice.refused.len());
    let (index, services) = told(service(&[], &[]), Some(slice));
    assert!(services[0].backends.is_empty());
    let notices = index.notices();
    assert_eq!(notices.len(), 1);
    let message = &notices.first().expect("one").message;
    assert!(message.len() < 300 && message.contains("1000 more"), "{message}");
}

#[test]
fn a_long_text_is_cut_where_a_letter_ends() {
    for text in ["é".repeat(1_000), "€".repeat(1_000), "x".repeat(1_000)] {
        let slice = slice(false, &[&text]);
        assert!(slice.refused[0].text.len() <= 64, "{}", slice.refused[0].text.len());
    }
}

fn refusal(expected: Expected) -> Option<Unusable> {
    let why = match expected {
        Used | Mapped => return None,
        Form => return Some(Unusable::Form),
        Loopback => Refusal::Loopback,
        Unspecified => Refusal::Unspecified,
        LinkLocal => Refusal::LinkLocal,
        Multicast => Refusal::Multicast,
        Reserved => Refusal::Reserved,
        Metadata => Refusal::Metadata,
    };
    Some(Unusable::Refused(why))
}

fn assert_noticed(index: &Index, refusal: Option<Unusable>, text: &str) {
    let reasons: Vec<_> = index.notices().into_iter().map(|notice| notice.reason).collect();
    let expected = Vec::from_iter(refusal.map(|_| reason::REFUSED_ADDRESS));
    assert_eq!(reasons, expected, "{text:?}");
}

/// What the core is told of one service and one slice.
fn told(service: Service, slice: Option<EndpointSlice>) -> (Index, Vec<CoreService>) {
    let settings = Settings { scope: Scope::All, external_ips: true, ..Settings::new("n1") };
    let mut index = Index::new(settings);
    let node = json!({"metadata": {"name": "n1"}});
    let node = Node::decode(node.to_string().as_bytes()).expect("a node");
    index.take(News::Node(batch(Some(node))));
    index.take(News::Services(batch(Some(service))));
    index.take(News::Slices(batch(slice)));
    index.take(News::Policies(batch(None)));
    index.take(News::Clusters(Batch { changes: Vec::new(), is_synced: true }));
    let [Input::Node(_), Input::Replace(services)] = &index.inputs()[..] else {
        panic!("everything there is");
    };
    (index, services.clone())
}

fn batch<T>(object: Option<T>) -> Batch<T> {
    Batch { changes: object.map(Change::Put).into_iter().collect(), is_synced: true }
}

fn service(external: &[&str], balanced: &[&str]) -> Service {
    let ingress: Vec<Value> = balanced.iter().map(|ip| json!({"ip": ip})).collect();
    let json = json!({
        "metadata": {"namespace": "shop", "name": "web"},
        "spec": {
            "clusterIP": "10.96.0.1",
            "clusterIPs": ["10.96.0.1", "fd96::1"],
            "ipFamilies": ["IPv4", "IPv6"],
            "selector": {"app": "web"},
            "ports": [{"name": "http", "port": 80}],
            "externalIPs": external,
        },
        "status": {"loadBalancer": {"ingress": ingress}},
    });
    Service::decode(json.to_string().as_bytes()).expect("a service")
}

fn slice(is_six: bool, addresses: &[&str]) -> EndpointSlice {
    let endpoints: Vec<Value> =
        addresses.iter().map(|address| json!({"addresses": [address]})).collect();
    let json = json!({
        "metadata": {
            "namespace": "shop",
            "name": "web-1",
            "labels": {
                "kubernetes.io/service-name": "web",
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            },
        },
        "addressType": if is_six { "IPv6" } else { "IPv4" },
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": endpoints,
    });
    EndpointSlice::decode(json.to_string().as_bytes()).expect("a slice")
}
