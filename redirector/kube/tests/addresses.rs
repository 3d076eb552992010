//! Texts of addresses, each through both ways that it can come: as an endpoint, and as an external
//! or load-balancer address of a Service. What is never used is never used, and good neighbours are
//! kept.

use std::net::IpAddr;

use redirector_core::{Input, service::Service as CoreService};
use redirector_kube::{
    api::{Batch, Change, EndpointSlice, Node, Object, Refusal, Service},
    index::{Index, News, Scope, Settings, reason},
};
use serde_json::{Value, json};

use self::Expected::{
    Form, LinkLocal, Loopback, Mapped, Metadata, Multicast, Reserved, Unspecified, Used,
};

/// What becomes of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// An address, both ways.
    Used,
    /// A v4-mapped address: as an address of a Service the IPv4 address that it means, as
    /// kube-proxy reads it (`util.MapIPsByIPFamily`); in a slice of IPv6 addresses none.
    Mapped,
    Form,
    Loopback,
    Unspecified,
    LinkLocal,
    Multicast,
    Reserved,
    Metadata,
}

const TEXTS: &[(&str, Expected)] = &[
    ("10.0.0.1", Used),
    ("10.255.255.254", Used),
    ("10.1.2.3", Used),
    ("172.16.0.1", Used),
    ("172.31.255.254", Used),
    ("192.168.0.1", Used),
    ("192.168.255.1", Used),
    ("100.64.0.1", Used),
    ("100.127.255.254", Used),
    ("100.100.100.201", Used),
    ("1.1.1.1", Used),
    ("8.8.8.8", Used),
    ("11.22.33.44", Used),
    ("126.255.255.255", Used),
    ("128.0.0.1", Used),
    ("169.253.255.255", Used),
    ("169.255.0.0", Used),
    ("168.63.129.15", Used),
    ("168.63.129.17", Used),
    ("192.0.0.191", Used),
    ("192.0.2.1", Used),
    ("198.51.100.1", Used),
    ("203.0.113.1", Used),
    ("198.18.0.1", Used),
    ("223.255.255.255", Used),
    ("1.0.0.0", Used),
    ("192.88.99.1", Used),
    ("192.0.0.8", Used),
    ("2001:db8::1", Used),
    ("2a00:1450:4001:800::200e", Used),
    ("fd00::1", Used),
    ("fd12:3456:789a:1::1", Used),
    ("fc00::1", Used),
    ("fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Used),
    ("2600::", Used),
    ("2001:4860:4860::8888", Used),
    ("fd00:ec2::255", Used),
    ("fd00:ec2:0:0:1::254", Used),
    ("fd20:ce::253", Used),
    ("FD00::ABCD", Used),
    ("fd00:0:0:0:0:0:0:1", Used),
    ("fd00:0000:0000:0000:0000:0000:0000:0002", Used),
    ("64:ff9b::a01:203", Used),
    ("64:ff9b::10.1.2.3", Used),
    ("2002:a01:203::1", Used),
    ("2001:0:4136:e378:8000:63bf:f5fe:fdfc", Used),
    ("fec0::1", Used),
    ("100::1", Used),
    ("3ffe::1", Used),
    ("fd00::5efe:a01:203", Used),
    ("fd00::10.1.2.3", Used),
    ("64:ff9a::7f00:1", Used),
    ("2003:7f00:1::1", Used),
    ("::ffff:10.0.0.1", Mapped),
    ("::ffff:192.168.1.1", Mapped),
    ("::ffff:a00:5", Mapped),
    ("0:0:0:0:0:ffff:10.0.0.9", Mapped),
    ("::FFFF:10.0.0.7", Mapped),
    ("::ffff:8.8.8.8", Mapped),
    ("127.0.0.1", Loopback),
    ("127.0.0.0", Loopback),
    ("127.0.0.2", Loopback),
    ("127.1.2.3", Loopback),
    ("127.255.255.255", Loopback),
    ("127.0.0.53", Loopback),
    ("::1", Loopback),
    ("0:0:0:0:0:0:0:1", Loopback),
    ("0000:0000:0000:0000:0000:0000:0000:0001", Loopback),
    ("::0:1", Loopback),
    ("::ffff:127.0.0.1", Loopback),
    ("::ffff:7f00:1", Loopback),
    ("0:0:0:0:0:ffff:7f00:1", Loopback),
    ("::ffff:127.255.255.254", Loopback),
    ("64:ff9b::127.0.0.1", Loopback),
    ("64:ff9b::7f00:1", Loopback),
    ("64:ff9b:1::7f00:1", Loopback),
    ("64:ff9b:1:abcd::127.0.0.1", Loopback),
    ("2002:7f00:1::", Loopback),
    ("2002:7f00:1::1", Loopback),
    ("2002:7fff:ffff:1:2:3:4:5", Loopback),
    ("::ffff:0:127.0.0.1", Loopback),
    ("::ffff:0:7f00:1", Loopback),
    ("2001:0:4136:e378:8000:63bf:80ff:fffe", Loopback),
    ("fd00::5efe:7f00:1", Loopback),
    ("2001:db8::200:5efe:7f00:1", Loopback),
    ("0.0.0.0", Unspecified),
    ("0.0.0.1", Unspecified),
    ("0.1.2.3", Unspecified),
    ("0.255.255.255", Unspecified),
    ("::", Unspecified),
    ("0:0:0:0:0:0:0:0", Unspecified),
    ("::0", Unspecified),
    ("0::0", Unspecified),
    ("::ffff:0.0.0.0", Unspecified),
    ("::ffff:0:0", Unspecified),
    ("64:ff9b::", Unspecified),
    ("64:ff9b::0.0.0.0", Unspecified),
    ("64:ff9b::1", Unspecified),
    ("::127.0.0.1", Unspecified),
    ("::7f00:1", Unspecified),
    ("::10.0.0.1", Unspecified),
    ("::2", Unspecified),
    ("::ffff", Unspecified),
    ("::1:0", Unspecified),
    ("2002::1", Unspecified),
    ("2002:0:1::1", Unspecified),
    ("::ffff:0.1.2.3", Unspecified),
    ("169.254.0.0", LinkLocal),
    ("169.254.0.1", LinkLocal),
    ("169.254.169.254", LinkLocal),
    ("169.254.170.2", LinkLocal),
    ("169.254.170.23", LinkLocal),
    ("169.254.169.253", LinkLocal),
    ("169.254.255.255", LinkLocal),
    ("169.254.20.10", LinkLocal),
    ("fe80::", LinkLocal),
    ("fe80::1", LinkLocal),
    ("fe80::a9fe:a9fe", LinkLocal),
    ("fe80:0:0:0:200:5efe:c0a8:1", LinkLocal),
    ("febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", LinkLocal),
    ("FE80::1", LinkLocal),
    ("feb0::1", LinkLocal),
    ("::ffff:169.254.169.254", LinkLocal),
    ("::ffff:a9fe:a9fe", LinkLocal),
    ("64:ff9b::169.254.169.254", LinkLocal),
    ("64:ff9b::a9fe:a9fe", LinkLocal),
    ("64:ff9b:1::a9fe:a9fe", LinkLocal),
    ("2002:a9fe:a9fe::1", LinkLocal),
    ("::ffff:0:169.254.169.254", LinkLocal),
    ("fd00::5efe:169.254.169.254", LinkLocal),
    ("2001:0:1:2:3:4:5601:5601", LinkLocal),
    ("224.0.0.0", Multicast),
    ("224.0.0.1", Multicast),
    ("224.0.0.251", Multicast),
    ("230.1.2.3", Multicast),
    ("239.255.255.255", Multicast),
    ("239.255.255.250", Multicast),
    ("ff00::", Multicast),
    ("ff02::1", Multicast),
    ("ff02::2", Multicast),
    ("ff05::1:3", Multicast),
    ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Multicast),
    ("FF02::FB", Multicast),
    ("ff0e::1", Multicast),
    ("::ffff:224.0.0.1", Multicast),
    ("64:ff9b::224.0.0.1", Multicast),
    ("2002:e000:1::1", Multicast),
    ("240.0.0.0", Reserved),
    ("240.0.0.1", Reserved),
    ("255.255.255.255", Reserved),
    ("250.1.2.3", Reserved),
    ("255.0.0.0", Reserved),
    ("255.255.255.254", Reserved),
    ("::ffff:255.255.255.255", Reserved),
    ("64:ff9b::255.255.255.255", Reserved),
    ("2002:ffff:ffff::", Reserved),
    ("::ffff:0:240.0.0.1", Reserved),
    ("168.63.129.16", Metadata),
    ("100.100.100.200", Metadata),
    ("192.0.0.192", Metadata),
    ("fd00:ec2::254", Metadata),
    ("fd00:ec2::253", Metadata),
    ("fd00:ec2::123", Metadata),
    ("fd00:ec2::23", Metadata),
    ("fd00:0ec2:0:0:0:0:0:254", Metadata),
    ("FD00:EC2::254", Metadata),
    ("fd20:ce::254", Metadata),
    ("fd00:c1::a9fe:a9fe", Metadata),
    ("::ffff:168.63.129.16", Metadata),
    ("::ffff:100.100.100.200", Metadata),
    ("64:ff9b::a83f:8110", Metadata),
    ("64:ff9b::100.100.100.200", Metadata),
    ("2002:a83f:8110::1", Metadata),
    ("010.0.0.1", Form),
    ("10.00.0.1", Form),
    ("10.0.0.01", Form),
    ("192.168.000.001", Form),
    ("0x7f.0.0.1", Form),
    ("0x7f000001", Form),
    ("2130706433", Form),
    ("017700000001", Form),
    ("127.1", Form),
    ("127.0.1", Form),
    ("10.1", Form),
    ("10", Form),
    ("10.0.0", Form),
    ("10.0.0.1.", Form),
    ("10.0.0.1.5", Form),
    (".10.0.0.1", Form),
    ("10..0.1", Form),
    ("10.0.0.256", Form),
    ("256.0.0.1", Form),
    ("10.0.0.-1", Form),
    ("+10.0.0.1", Form),
    ("10.0.0.1 ", Form),
    (" 10.0.0.1", Form),
    ("10.0.0.1\n", Form),
    ("10.0.0.1\t", Form),
    ("10.0.0.1:80", Form),
    ("10.0.0.1/32", Form),
    ("10.0.0.1#", Form),
    ("10.0.0.1%eth0", Form),
    ("１０.0.0.1", Form),
    ("10。0。0。1", Form),
    ("10,0,0,1", Form),
    ("fe80::1%eth0", Form),
    ("fe80::1%1", Form),
    ("fd00::1%lo", Form),
    ("::1%0", Form),
    ("[fd00::1]", Form),
    ("[fd00::1]:80", Form),
    ("fd00::1/128", Form),
    ("fd00:::1", Form),
    ("fd00::1::2", Form),
    ("fd00:1:2:3:4:5:6", Form),
    ("fd00:1:2:3:4:5:6:7:8", Form),
    ("fd00::g", Form),
    ("fd00::12345", Form),
    (":fd00::1", Form),
    ("fd00:1:2:3:4:5:6:7:", Form),
    ("::ffff:127.0.0.01", Form),
    ("::ffff:0x7f000001", Form),
    ("::ffff:127.1", Form),
    ("::ffff:10.0.0.256", Form),
    ("localhost", Form),
    ("metadata.google.internal", Form),
    ("kubernetes.default.svc", Form),
    ("example.com", Form),
    ("0", Form),
    ("-1", Form),
    ("null", Form),
    ("", Form),
    ("  ", Form),
    ("10.0.0.1,10.0.0.2", Form),
    ("10.0.0.1\0", Form),
    ("http://10.0.0.1", Form),
    ("file:///etc/passwd", Form),
    ("ip6-localhost", Form),
    ("*", Form),
    ("10.0.0.*", Form),
    ("10.0.0.1-5", Form),
    ("fd00::1 ", Form),
    ("1e1.0.0.1", Form),
    ("fd00..1", Form),
];

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
    for (text, expected) in TEXTS {
        let is_six = text.contains(':');
        let good = GOOD[usize::from(is_six)];
        let slice = slice(is_six, &[good, text]);
        let refusal = refusal(*expected).or((*expected == Mapped).then_some(Refusal::Family));
        let found: Vec<Refusal> = slice.refused.iter().map(|refused| refused.why).collect();
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
    for (text, expected) in TEXTS {
        // The API drops an empty load-balancer address; kube-proxy ignores it.
        let is_ignored = text.is_empty();
        for (external, balanced) in [(vec![*text], vec![]), (vec![], vec![*text])] {
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

fn refusal(expected: Expected) -> Option<Refusal> {
    match expected {
        Used | Mapped => None,
        Form => Some(Refusal::Form),
        Loopback => Some(Refusal::Loopback),
        Unspecified => Some(Refusal::Unspecified),
        LinkLocal => Some(Refusal::LinkLocal),
        Multicast => Some(Refusal::Multicast),
        Reserved => Some(Refusal::Reserved),
        Metadata => Some(Refusal::Metadata),
    }
}

fn assert_noticed(index: &Index, refusal: Option<Refusal>, text: &str) {
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
