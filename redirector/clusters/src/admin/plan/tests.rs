use serde_json::json;

use super::*;

fn here() -> Importing {
    let service = json!({"metadata": {"name": "kubernetes", "namespace": "default"},
                         "spec": {"clusterIPs": ["10.96.0.1"]}});
    Importing {
        side: "context east".into(),
        id: "east".into(),
        uid: "u-east".into(),
        ranges: Ranges::of(&[], &[service], &[]),
        clusters: vec![known("north", "10.3.0.0/16", "u-north")],
    }
}

fn there() -> Exporting {
    Exporting {
        side: "context west".into(),
        uid: "u-west".into(),
        id: Some("west".into()),
        address: Address { server: "https://west.example:6443".into(), ca_bundle: None },
        pods: vec!["10.2.0.0/20".parse().expect("a range")],
        has_manifest: true,
    }
}

fn wish() -> Wish {
    Wish {
        name: "west".into(),
        reach: Reach::Pod,
        cidrs: vec!["10.2.0.0/16".into()],
        cidr_flag: "cidr",
        encryption: Some(EncryptionMode::Off),
        interfaces: Vec::new(),
        ipsec: false,
    }
}

fn known(name: &str, cidr: &str, uid: &str) -> RemoteCluster {
    let object = json!({
        "metadata": {"name": name},
        "spec": {"cidrs": [cidr], "encryption": {"mode": "Off"}, "uid": uid},
    });
    RemoteCluster::decode(object.to_string().as_bytes()).expect("a RemoteCluster")
}

#[test]
fn a_plan_pins_the_uid_and_says_what_encryption_off_means() {
    let plan = plan(&here(), &there(), &wish()).expect("a plan");
    assert_eq!((plan.importer.as_str(), plan.exporter.as_str()), ("east", "west"));
    assert_eq!(
        plan.remote_cluster["spec"],
        json!({
            "server": "https://west.example:6443",
            "credentials": {"secretName": "west"},
            "uid": "u-west",
            "reach": "Pod",
            "cidrs": ["10.2.0.0/16"],
            "encryption": {"mode": "Off", "ipsec": false},
        })
    );
    assert_eq!(
        plan.warnings,
        ["encryption is Off: what is sent to west may be read on the way"],
        "{plan:?}"
    );
}

/// What makes of a good join a bad one.
type Change<'c> = &'c dyn Fn(&mut Importing, &mut Exporting, &mut Wish);

#[test]
fn what_forbids_a_join_names_the_object_and_the_fix() {
    let refused = |change: Change<'_>| {
        let (mut here, mut there, mut wish) = (here(), there(), wish());
        change(&mut here, &mut there, &mut wish);
        plan(&here, &there, &wish).expect_err("a refusal").to_string()
    };
    let cases: [(Change<'_>, &[&str]); 10] = [
        (&|_, _, wish| wish.name = "West".into(), &["\"West\" is no cluster id", "DNS label"]),
        (&|_, _, wish| wish.encryption = None, &["--encryption", "required", "report", "off"]),
        (&|_, _, wish| wish.name = "east".into(), &["does not join itself", "the other one's id"]),
        (&|here, _, _| here.uid = "u-west".into(), &["of this very cluster", "--remote-context"]),
        (&|_, there, _| there.id = Some("north".into()), &["calls itself \"north\"", "join north"]),
        (
            &|_, there, wish| {
                (there.uid, there.id, wish.name) = ("u-north".into(), None, "west".into());
            },
            &["RemoteCluster north is this cluster already", "leave north"],
        ),
        (
            &|here, _, _| here.clusters.push(known("west", "10.2.0.0/16", "u-old")),
            &["pinned to the uid u-old", "leave west"],
        ),
        (&|_, _, wish| wish.cidrs.clear(), &["--cidr is missing", "its nodes say 10.2.0.0/20"]),
        (&|_, _, wish| wish.cidrs = vec!["10.2.0.1/16".into()], &["cidrs[0]", "write 10.2.0.0/16"]),
        (
            &|_, _, wish| wish.cidrs = vec!["10.3.4.0/24".into()],
            &["10.3.4.0/24 overlaps 10.3.0.0/16 of RemoteCluster north", "reach LoadBalancer"],
        ),
    ];
    for (change, parts) in cases {
        let why = refused(change);
        for part in parts {
            assert!(why.contains(part), "{part:?} is not in {why:?}");
        }
    }
}

#[test]
fn a_gateway_may_have_any_address_and_the_same_cluster_joins_again() {
    let mut gateways = wish();
    (gateways.reach, gateways.cidrs) = (Reach::LoadBalancer, vec!["10.96.0.0/16".into()]);
    plan(&here(), &there(), &gateways).expect("overlap is irrelevant for gateways");
    let mut again = here();
    again.clusters.push(known("west", "10.2.0.0/16", "u-west"));
    plan(&again, &there(), &wish()).expect("a cluster does not overlap itself");
}

#[test]
fn what_will_not_work_is_warned_of() {
    let mut there = there();
    there.address.server = "https://127.0.0.1:6443".into();
    there.has_manifest = false;
    there.pods = vec!["10.9.0.0/24".parse().expect("a range")];
    let plan = plan(&here(), &there, &wish()).expect("a plan");
    for part in ["--server", "no exporter has written a manifest", "10.9.0.0/24, outside of --cidr"]
    {
        assert!(plan.warnings.iter().any(|warning| warning.contains(part)), "{part}: {plan:?}");
    }
}
