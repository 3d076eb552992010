//! Both sources judge an address alike, as backend and as frontend: by the rule of the core.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use redirector_core::address::{Refusal, usable};
use redirector_kube::api::{EndpointSlice, Object as _, Service, Unusable};
use serde_json::json;

use super::file;

/// Tries per seed.
const TRIES: usize = 3_000;
/// Enough that the reserved kinds are met often.
const SEED: u64 = 10;

/// Prefixes of which much is refused, as the first bytes of an address.
const PREFIXES: [&[u8]; 14] = [
    &[],
    &[0; 12],
    &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff],
    &[0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0],
    &[0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0],
    &[0, 0x64, 0xff, 0x9b, 0, 1, 0, 0, 0, 0, 0, 0],
    &[0x20, 0x02],
    &[0x20, 0x01, 0, 0],
    &[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x5e, 0xfe],
    &[0xfd, 0, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    &[0xfd, 0, 0, 0xc1, 0, 0, 0, 0, 0, 0, 0, 0],
    &[0xfd, 0x20, 0, 0xce, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    &[0xfe, 0x80],
    &[0xff],
];
/// IPv4 addresses of each kind.
const FOURS: [[u8; 4]; 10] = [
    [10, 1, 2, 3],
    [8, 8, 8, 8],
    [0, 1, 2, 3],
    [127, 0, 0, 1],
    [169, 254, 169, 254],
    [169, 254, 1, 1],
    [192, 0, 0, 192],
    [168, 63, 129, 16],
    [224, 0, 0, 1],
    [250, 1, 1, 1],
];

#[test]
fn both_sources_use_and_refuse_the_same_addresses() {
    let mut random = StdRng::seed_from_u64(SEED);
    let mut refused = 0;
    for _ in 0..TRIES {
        let address = draw(&mut random);
        let expected = usable(address);
        assert_eq!(by_kubernetes(address), expected, "{address}, seed {SEED}");
        assert_eq!(by_file(address), expected.is_ok(), "{address}, seed {SEED}");
        refused += usize::from(expected.is_err());
    }
    assert!((TRIES / 10..TRIES * 9 / 10).contains(&refused), "{refused}");
}

/// Those that the file source took and the Kubernetes source did not.
#[test]
fn what_one_source_used_to_take_neither_does() {
    for text in [
        "192.0.0.192",
        "fd00:ec2::23",
        "250.1.1.1",
        "64:ff9b::a9fe:a9fe",
        "::127.0.0.1",
        "2002:7f00:1::",
    ] {
        let address: IpAddr = text.parse().expect("an address");
        assert!(!by_file(address), "{text}");
        assert!(by_kubernetes(address).is_err(), "{text}");
    }
}

fn draw(random: &mut StdRng) -> IpAddr {
    let four = FOURS[random.random_range(0..FOURS.len())];
    if random.random_bool(0.2) {
        let any = Ipv4Addr::from_bits(random.random());
        return if random.random_bool(0.5) { four.into() } else { any.into() };
    }
    let prefix = PREFIXES[random.random_range(0..PREFIXES.len())];
    let mut octets: [u8; 16] = random.random();
    octets[..prefix.len()].copy_from_slice(prefix);
    let at = if prefix.starts_with(&[0x20, 0x02]) { 2 } else { 12 };
    if at >= prefix.len() && random.random_bool(0.5) {
        // Teredo has it inverted.
        let invert = if prefix == [0x20, 0x01, 0, 0] { 0xff } else { 0 };
        octets[at..at + 4].copy_from_slice(&four.map(|byte| byte ^ invert));
    }
    Ipv6Addr::from(octets).into()
}

/// What the Kubernetes source makes of it: an endpoint, and an external address alike. A v4-mapped
/// address is no endpoint of a list of IPv6 addresses, so that the address of a Service counts.
fn by_kubernetes(address: IpAddr) -> Result<IpAddr, Refusal> {
    let read = |found: &Result<IpAddr, redirector_kube::api::Refused>| match found {
        Ok(address) => Ok(*address),
        Err(refused) => match refused.why {
            Unusable::Refused(why) => Err(why),
            other => panic!("{address}: {other}"),
        },
    };
    let metadata = json!({
        "namespace": "shop",
        "name": "web",
        "labels": {"kubernetes.io/service-name": "web"},
    });
    let service = json!({
        "metadata": metadata,
        "spec": {"clusterIP": address.to_string(), "ports": [{"port": 80}]},
    });
    let service = Service::decode(service.to_string().as_bytes()).expect("a Service");
    let as_frontend = read(&service.cluster_ips[0]);
    if address.to_canonical() == address {
        let slice = json!({
            "metadata": metadata,
            "addressType": if address.is_ipv6() { "IPv6" } else { "IPv4" },
            "ports": [{"port": 80}],
            "endpoints": [{"addresses": [address.to_string()]}],
        });
        let slice = EndpointSlice::decode(slice.to_string().as_bytes()).expect("a slice");
        let why = slice.refused.first().map(|refused| refused.why);
        assert_eq!(why, as_frontend.err().map(Unusable::Refused), "{address} as an endpoint");
    }
    as_frontend
}

/// Whether the file source uses it, as backend and as frontend alike.
fn by_file(address: IpAddr) -> bool {
    let socket = std::net::SocketAddr::new(address, 80);
    let is_used = |frontend: &str, backend: &str| {
        let text = format!(
            "services: [{{name: a, frontends: [\"{frontend}/tcp\"], backends: [{{address: \
             \"{backend}\"}}]}}]"
        );
        file::parse("f", &text).is_ok()
    };
    let as_backend = is_used("10.96.99.99:81", &socket.to_string());
    assert_eq!(as_backend, is_used(&socket.to_string(), "10.1.99.99:81"), "{address}");
    as_backend
}
