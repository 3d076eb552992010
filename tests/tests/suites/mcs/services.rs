//! What an import says of the Service that is exported.

use redirector_tests::fleet::NAMESPACE;
use serde_json::{Value, json};

use super::world::{World, import, serve, share, slices};

const HTTP: [(&str, u16); 1] = [("http", 80)];

pub fn last_export(world: &World, name: &str) {
    let (first, second) = (world.first(), world.second());
    for (age, member) in [first, second].into_iter().enumerate() {
        serve(member, name, &HTTP, &json!({}));
        share(member, name, u8::try_from(age).expect("two"), &Value::Null);
    }
    let exporters = |import: &Value| import["status"]["clusters"].as_array().map_or(0, Vec::len);
    world.imports(name, |import| exporters(import) == 2);
    first.unexport(name);
    let left = world.imports(name, |import| exporters(import) == 1);
    assert_eq!(left[0]["status"]["clusters"][0]["cluster"], second.name.as_str());
    world.always("one export is enough", || {
        world.all().iter().all(|member| import(member, name).is_some())
    });
    second.unexport(name);
    world.until("the last takes it along", || {
        world.all().iter().all(|member| import(member, name).is_none())
    });
}

pub fn cluster_ip(world: &World, name: &str) {
    let first = world.first();
    serve(first, name, &HTTP, &json!({}));
    share(first, name, 0, &Value::Null);
    world.exported(first, name, "Valid", "True");
    for import in world.imports(name, |_| true) {
        assert_eq!(import["spec"]["type"], "ClusterSetIP", "{import}");
    }
    first.unexport(name);
    world.until("it is gone everywhere", || {
        world.all().iter().all(|member| import(member, name).is_none())
    });
}

pub fn affinity(world: &World, name: &str) {
    let fields = json!({
        "sessionAffinity": "ClientIP",
        "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 42}},
    });
    same(world, name, &fields);
}

pub fn internal_traffic_policy(world: &World, name: &str) {
    same(world, name, &json!({"internalTrafficPolicy": "Local"}));
}

pub fn traffic_distribution(world: &World, name: &str) {
    same(world, name, &json!({"trafficDistribution": "PreferClose"}));
}

pub fn families(world: &World, name: &str) {
    let first = world.first();
    let both = json!({"ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "RequireDualStack"});
    serve(first, name, &HTTP, &both);
    share(first, name, 0, &Value::Null);
    let has_addresses =
        |import: &Value| import["spec"]["ips"].as_array().is_some_and(|ips| ips.len() == 2);
    for import in world.imports(name, has_addresses) {
        let of = |at: usize| {
            let ip = import["spec"]["ips"][at].as_str().expect("text");
            ip.parse::<std::net::IpAddr>().expect("an address").is_ipv4()
        };
        assert_eq!(import["spec"]["ipFamilies"], both["ipFamilies"], "{import}");
        assert_eq!((of(0), of(1)), (true, false), "{import}");
    }
}

pub fn ports(world: &World, name: &str) {
    let first = world.first();
    let ports = json!([
        {"name": "http", "protocol": "TCP", "port": 80, "appProtocol": "http"},
        {"name": "dns", "protocol": "UDP", "port": 53},
    ]);
    serve(first, name, &HTTP, &json!({"ports": ports}));
    share(first, name, 0, &Value::Null);
    let shown =
        |port: &Value| ["name", "protocol", "port", "appProtocol"].map(|field| port[field].clone());
    let wanted: Vec<_> = ports.as_array().into_iter().flatten().map(shown).collect();
    for import in world.imports(name, |_| true) {
        let found = import["spec"]["ports"].as_array().cloned().unwrap_or_default();
        let mut found: Vec<_> = found.iter().map(shown).collect();
        found.sort_by_key(|port| std::cmp::Reverse(port[0].to_string()));
        assert_eq!(found, wanted, "{import}");
    }
}

pub fn labels(world: &World, name: &str) {
    let first = world.first();
    serve(first, name, &HTTP, &json!({}));
    let own = json!({"metadata": {"labels": {"own": "yes"}, "annotations": {"own": "yes"}}});
    first.api.patch("services", NAMESPACE, name, own).expect("the Service");
    let fields = json!({"exportedLabels": {"tier": "gold"}, "exportedAnnotations": {"by": "us"}});
    share(first, name, 0, &fields);
    let has = |import: &Value| {
        let metadata = &import["metadata"];
        metadata["labels"]["tier"] == "gold" && metadata["annotations"]["by"] == "us"
    };
    for import in world.imports(name, has) {
        let metadata = &import["metadata"];
        assert!(metadata["labels"]["own"].is_null(), "{import}");
        assert!(metadata["annotations"]["own"].is_null(), "{import}");
    }
}

pub fn slices_of(world: &World, name: &str) -> bool {
    let first = world.first().name.as_str();
    world.all().iter().all(|member| {
        let found = slices(member, name);
        !found.is_empty()
            && found.iter().all(|slice| {
                let labels = &slice["metadata"]["labels"];
                let by = labels["endpointslice.kubernetes.io/managed-by"].as_str();
                labels["multicluster.kubernetes.io/source-cluster"] == first
                    && by.is_some_and(|by| by != "endpointslice-controller.k8s.io")
            })
    })
}

pub fn slices_everywhere(world: &World, name: &str) {
    let first = world.first();
    serve(first, name, &HTTP, &json!({}));
    share(first, name, 0, &Value::Null);
    world.until("slices in each cluster", || slices_of(world, name));
    first.unexport(name);
    world.until("no slice", || world.all().iter().all(|member| slices(member, name).is_empty()));
}

/// These fields of the exported Service are in every import.
fn same(world: &World, name: &str, fields: &Value) {
    let first = world.first();
    serve(first, name, &HTTP, fields);
    share(first, name, 0, &Value::Null);
    for import in world.imports(name, |_| true) {
        for (field, value) in fields.as_object().into_iter().flatten() {
            assert_eq!(&import["spec"][field], value, "{field} of {import}");
        }
    }
}
