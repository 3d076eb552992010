//! `bpftool`, `dump` and `status` tell the same story about every map.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use redirector_common::{HOST_HAS_IT, HealthByte, HealthWord, ServiceWord};
use redirector_tests::{agent::Agent, bpftool, tables};
use serde_json::Value;

use super::fixture::{CONFIGURATION, Fixture};

/// Address, port, protocol and index.
type Frontend = (IpAddr, u64, String, u64);

#[test]
fn bpftool_and_the_command_line_tell_the_same_story() {
    let site = Fixture::new(CONFIGURATION);
    let agent = Agent::start(site.options()).expect("an agent");
    // One backend is ejected, as by an operator.
    let drained = backend_index(&site.json("dump"), "10.77.2.3");
    let key = u32::try_from(drained).expect("an index").to_ne_bytes();
    let mut word = bpftool::lookup(&site.map("HEALTH"), &key).expect("its health");
    word[HealthByte::Operator as usize] = 1;
    bpftool::update(&site.map("HEALTH"), &key, &word).expect("one store");

    let (dump, status) = (site.json("dump"), site.json("status"));

    assert_eq!(dump["services"], status["services"]);
    assert_eq!(status["agent"], agent.pid().expect("it runs"));
    assert_frontends(&site, &dump);
    assert_tables(&site, &dump);
    assert_health(&site, &dump, drained);
    assert_texts(&site);
}

/// What a person types: `bpftool map dump pinned <pin-path>/v1/FRONTENDS4`.
fn assert_frontends(site: &Fixture, dump: &Value) {
    let expected: BTreeSet<Frontend> = [
        ("10.96.0.10", 80, "tcp"),
        ("10.96.0.11", 8080, "tcp"),
        ("fd00:96::a", 80, "tcp"),
        ("10.96.0.53", 53, "udp"),
        ("fd00:96::35", 53, "udp"),
        ("10.96.0.20", 80, "tcp"),
    ]
    .into_iter()
    .map(|(address, port, protocol)| {
        let address = address.parse().expect("an address");
        (address, port, protocol.to_owned(), 0)
    })
    .collect();
    let without_index = |all: &BTreeSet<Frontend>| -> BTreeSet<Frontend> {
        all.iter()
            .cloned()
            .map(|(address, port, protocol, _)| (address, port, protocol, 0))
            .collect()
    };

    let by_bpftool: BTreeSet<Frontend> = ["FRONTENDS4", "FRONTENDS6"]
        .into_iter()
        .flat_map(|map| site.entries(map))
        .map(|entry| {
            let key = &entry["key"];
            let protocol = match key["protocol"].as_u64() {
                Some(6) => "tcp",
                Some(17) => "udp",
                other => panic!("protocol {other:?} in {entry}"),
            };
            (
                address(&key["address"]),
                number(&key["port"]),
                protocol.to_owned(),
                // A host may have each of these addresses: they come from a file.
                number(&entry["value"]) - u64::from(HOST_HAS_IT),
            )
        })
        .collect();
    assert_eq!(without_index(&by_bpftool), expected);

    let by_dump: BTreeSet<Frontend> = tables::services(dump)
        .flat_map(|service| list(&service["frontends"]))
        .map(|frontend| {
            let address = text(&frontend["address"]).parse().expect("an address");
            let protocol = text(&frontend["protocol"]).to_owned();
            (address, number(&frontend["port"]), protocol, number(&frontend["index"]))
        })
        .collect();
    assert_eq!(by_dump, by_bpftool);
}

/// `SERVICES`, `TABLE` and `NAMES` for each service and family.
fn assert_tables(site: &Fixture, dump: &Value) {
    let words = site.entries("SERVICES");
    let table = site.entries("TABLE");
    let names = site.entries("NAMES");
    let at = |entries: &[Value], index: u64| {
        let found = entries.iter().find(|entry| entry["key"] == index);
        found.unwrap_or_else(|| panic!("no entry {index}"))["value"].clone()
    };
    // Two families of two services, one of a third.
    assert_eq!(tables::services(dump).count(), 5, "{dump:#}");
    for service in tables::services(dump) {
        let slot = number(&service["slot"]);
        for frontend in list(&service["frontends"]) {
            let word = ServiceWord(number(&at(&words, number(&frontend["index"]))));
            assert_eq!(u64::from(word.slot()), slot);
            assert_eq!(u64::from(word.epoch()), number(&service["epoch"]));
        }
        let header = &at(&table, slot)["header"];
        assert_eq!(header["service"], service["id"]);
        assert_eq!(header["epoch"], service["epoch"]);
        assert_eq!(number(&header["tiers"]) as usize, list(&service["tiers"]).count());
        let settings = &at(&table, slot + 1)["settings"];
        // The byte above counts requests without an answer.
        assert_eq!(number(&settings["numbers"]) & 0xff_ffff, number(&service["affinity_seconds"]));

        let name = at(&names, number(&service["id"]));
        // The field's own name depends on how bpftool shows a structure without names.
        let bytes = bytes(name.get("__0").unwrap_or(&name));
        let name: Vec<_> = bytes.into_iter().take_while(|byte| *byte != 0).collect();
        assert_eq!(String::from_utf8(name).as_deref(), Ok(text(&service["name"])));

        for (tier, number_of_tier) in list(&service["tiers"]).zip(2..) {
            let range = &at(&table, slot + number_of_tier)["range"];
            let backends: Vec<_> = list(&tier["backends"]).collect();
            assert_eq!(number(&range["length"]) as usize, backends.len());
            let is_ipv6 = text(&backends[0]["address"]).contains(':');
            for (backend, place) in backends.iter().zip(0..) {
                let shift = u64::from(is_ipv6);
                let here = slot + number(&range["start"]) + (place << shift);
                let entry = &at(&table, here)["entry"];
                assert_eq!(entry["backend"], backend["index"]);
                assert_eq!(entry["port"], backend["port"]);
                assert_eq!(entry["node"], backend["node"]);
                let shown = if is_ipv6 {
                    address(&at(&table, here + 1)["address6"]["address"])
                } else {
                    address(&entry["address"])
                };
                assert_eq!(shown.to_string(), text(&backend["address"]));
            }
        }
    }
}

/// `HEALTH` and `BACKENDS` for each backend; all is well but one.
fn assert_health(site: &Fixture, dump: &Value, drained: u64) {
    let words = site.entries("HEALTH");
    let identities = site.entries("BACKENDS");
    let mut seen = 0;
    for backend in tables::backends(dump) {
        let index = number(&backend["index"]);
        let of = |entries: &[Value]| {
            entries.iter().find(|entry| entry["key"] == index).expect("an entry")["value"].clone()
        };
        let word = HealthWord(number(&of(&words)));
        assert_eq!(word.is_usable(), backend["usable"] == true, "{backend}");
        assert_eq!(word.is_usable(), index != drained, "{backend}");
        let objections: Vec<_> = HealthByte::ALL
            .into_iter()
            .filter(|byte| word.byte(*byte) != 0)
            .map(HealthByte::name)
            .collect();
        assert_eq!(backend["objections"], serde_json::json!(objections));

        let identity = of(&identities);
        assert_eq!(identity["port"], backend["port"]);
        let shown: IpAddr = text(&backend["address"]).parse().expect("an address");
        assert_eq!(address(&identity["address"]).to_canonical(), shown);
        seen += 1;
    }
    assert_eq!(seen, 6);
}

/// The same for people.
fn assert_texts(site: &Fixture) {
    let output = site.on_pins("dump", &[]);
    let dump = String::from_utf8_lossy(&output.stdout);
    assert!(dump.contains("frontend address=10.96.0.10 port=80 protocol=tcp index="), "{dump}");
    assert!(dump.contains("objections=operator"), "{dump}");
    assert!(dump.contains("\ncounter not_service="), "{dump}");

    let output = site.on_pins("status", &["shop/web"]);
    let status = String::from_utf8_lossy(&output.stdout);
    for line in [
        "shop/web  10.96.0.10:80/tcp 10.96.0.11:8080/tcp",
        "shop/web  [fd00:96::a]:80/tcp",
        "  tier 0  100 % of new connections, 1 of 1 usable",
        "  tier 1    0 % of new connections, 1 of 2 usable",
        "    10.77.2.3:8080             0.00 %  ejected by operator",
    ] {
        assert!(status.lines().any(|shown| shown == line), "{line:?} is not in\n{status}");
    }
    assert!(!status.contains("shop/dns"), "{status}");
    let output = site.on_pins("status", &["nobody"]);
    let status = String::from_utf8_lossy(&output.stdout);
    assert!(status.contains("no backends: connects are refused"), "{status}");
}

fn backend_index(dump: &Value, address: &str) -> u64 {
    let found = tables::backends(dump).find(|backend| backend["address"] == address);
    number(&found.unwrap_or_else(|| panic!("no backend {address}: {dump:#}"))["index"])
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().unwrap_or_else(|| panic!("no list: {value}")).iter()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

/// bpftool shows a byte as a number.
fn bytes(value: &Value) -> Vec<u8> {
    list(value).map(|byte| u8::try_from(number(byte)).expect("a byte")).collect()
}

fn address(value: &Value) -> IpAddr {
    let bytes = bytes(value);
    match (<[u8; 4]>::try_from(&bytes[..]), <[u8; 16]>::try_from(&bytes[..])) {
        (Ok(v4), _) => Ipv4Addr::from(v4).into(),
        (_, Ok(v6)) => Ipv6Addr::from(v6).into(),
        _ => panic!("no address: {value}"),
    }
}
