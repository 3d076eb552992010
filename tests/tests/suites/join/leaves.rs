//! Acceptance statement 19: a leave needs neither the other cluster nor an importer, and leaves no object
//! of ours.

use redirector_tests::api::Verb;
use serde_json::{Value, json};

use super::fixture::World;

const LEAVE: [&str; 4] = ["leave", "west", "--context", "east"];

/// What an importer of east would have written of these clusters: `shop/web` of all of them, and
/// `shop/cart` of the first; each has a ready replica, and `web` one of its own too.
pub fn import(world: &World, clusters: &[&str]) {
    let east = world.api("east");
    let put = |object: Value| east.put(object).expect("an object");
    let ours = "clusters.redirector.dev";
    for (service, of) in [("web", clusters), ("cart", &clusters[..1])] {
        put(json!({
            "apiVersion": "multicluster.x-k8s.io/v1beta1", "kind": "ServiceImport",
            "metadata": {
                "name": service, "namespace": "shop",
                "labels": {"endpointslice.kubernetes.io/managed-by": ours},
                "annotations": {"multicluster.kubernetes.io/derived-service": format!("derived-{service}")},
            },
            "spec": {"type": "ClusterSetIP", "ports": [{"port": 80, "protocol": "TCP"}]},
            "status": {"clusters": of.iter().map(|name| json!({"cluster": name})).collect::<Vec<_>>()},
        }));
        put(json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": format!("derived-{service}"), "namespace": "shop",
                         "labels": {"endpointslice.kubernetes.io/managed-by": ours}},
            "spec": {"ports": [{"port": 80}]},
        }));
        for cluster in of {
            put(slice(service, &format!("{service}-{cluster}-0"), Some(cluster)));
        }
    }
    put(slice("web", "web-abcde", None));
    put(slice("cart", "cart-abcde", None));
}

/// What is left of ours beside what was there before: neither the Deployment's namespaces nor what is
/// north's, nor what every test has of its own Services.
pub fn left(world: &World, before: &[String]) -> Vec<String> {
    let is_kept = |name: &String| {
        name.contains(": Namespace ")
            || name.contains("north")
            || ["shop/web-abcde", "shop/cart-abcde"].iter().any(|own| name.ends_with(own))
            // `web` is north's as well.
            || ["ServiceImport shop/web", "Service shop/derived-web"].iter().any(|own| name.ends_with(own))
    };
    let left = world.names().into_iter().filter(|name| !before.contains(name));
    left.filter(|name| !is_kept(name)).collect()
}

fn slice(service: &str, name: &str, source: Option<&str>) -> Value {
    let labels = match source {
        Some(cluster) => json!({
            "multicluster.kubernetes.io/service-name": service,
            "multicluster.kubernetes.io/source-cluster": cluster,
            "endpointslice.kubernetes.io/managed-by": "clusters.redirector.dev",
            "service.kubernetes.io/service-proxy-name": "redirector.dev",
        }),
        None => json!({
            "kubernetes.io/service-name": service,
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        }),
    };
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": "shop", "labels": labels},
        "addressType": "IPv4", "ports": [{"port": 8080}],
        "endpoints": [{"addresses": ["10.2.0.7"], "conditions": {"ready": true}}],
    })
}

#[test]
fn a_leave_drains_first_and_leaves_nothing_in_either_cluster() {
    let world = World::new();
    let before = world.names();
    world.join_west(&[]).good();
    import(&world, &["west", "north"]);
    world.api("east").forget_requests();
    let arguments =
        [&LEAVE[..], &["--remote-context", "west", "--drain", "1s", "-o", "json"]].concat();
    let begun = std::time::Instant::now();
    let ended = world.run(&arguments).good().json();
    assert!(begun.elapsed().as_secs_f64() > 1.0, "it drains");
    assert_eq!(left(&world, &before), Vec::<String>::new());
    assert_eq!(ended["commands"], json!([]));

    let asked = world.writes("east");
    let at = |verb, resource: &str| {
        let found = asked.iter().position(|one| *one == (verb, resource.to_owned()));
        found.unwrap_or_else(|| panic!("no {verb:?} of {resource}: {asked:?}"))
    };
    let said = at(Verb::Patch, "remoteclusters");
    assert!(said < at(Verb::Patch, "remoteclusters/status"), "{asked:?}");
    assert!(at(Verb::Patch, "remoteclusters/status") < at(Verb::Delete, "remoteclusters"));
    assert!(at(Verb::Delete, "remoteclusters") < at(Verb::Delete, "endpointslices"));
    assert!(at(Verb::Delete, "endpointslices") < at(Verb::Delete, "serviceimports"));
    assert!(at(Verb::Delete, "serviceimports") < at(Verb::Delete, "secrets"));

    let web = world.api("east").get("serviceimports", "shop", "web").expect("north exports it too");
    assert_eq!(web["status"]["clusters"], json!([{"cluster": "north"}]));
    assert!(world.api("east").get("endpointslices", "shop", "web-north-0").is_some());
    world.run(&LEAVE).failed(&["there is no RemoteCluster west", "nothing of it is left"]);
}

#[test]
fn a_dead_cluster_is_left_and_what_is_to_do_there_is_said() {
    let world = World::new();
    let before = world.names();
    world.join_west(&[]).good();
    import(&world, &["west"]);
    world.api("west").stop();
    let begun = std::time::Instant::now();
    let arguments = [&LEAVE[..], &["--remote-context", "west", "--drain", "0s"]].concat();
    let ended = world.run(&arguments).good();
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    for part in [
        "warning: context west: cannot read",
        "run in west:",
        "kubectl delete rolebinding -n redirector-exports importer-east --ignore-not-found",
        "kubectl delete role -n redirector-exports importer-east-token --ignore-not-found",
        "kubectl delete serviceaccount -n redirector-exports importer-east --ignore-not-found",
    ] {
        assert!(ended.stdout.contains(part), "{part:?} is not in\n{}", ended.stdout);
    }
    let of_east = left(&world, &before).into_iter().filter(|name| name.starts_with("east"));
    assert_eq!(of_east.collect::<Vec<_>>(), Vec::<String>::new());
    // Once it lives again, the same command completes it.
    world.api("west").restart().expect("it comes back");
    world.run(&arguments).good();
    assert_eq!(left(&world, &before), Vec::<String>::new());
}

#[test]
fn both_leave_each_other_with_one_command() {
    let world = World::new();
    let before = world.names();
    world.join_west(&["--both", "--own-cidr", "10.1.0.0/16"]).good();
    let arguments = ["--remote-context", "west", "--drain", "0s", "--both"];
    world.run(&[&LEAVE[..], &arguments].concat()).good();
    assert_eq!(left(&world, &before), Vec::<String>::new());
}

#[test]
fn one_that_was_invited_is_shut_out_by_its_account() {
    let world = World::new();
    let before = world.names();
    world.run(&["invite", "east", "--context", "west"]).good();
    world.run(&["leave", "east", "--context", "west"]).failed(&["there is no RemoteCluster east"]);
    world.run(&["leave", "east", "--context", "west", "--revoke"]).good();
    assert_eq!(left(&world, &before), Vec::<String>::new());
}

#[test]
fn a_context_of_another_cluster_is_refused_before_anything_goes() {
    let world = World::new();
    world.join_west(&[]).good();
    let before = world.versions();
    world
        .run(&[&LEAVE[..], &["--remote-context", "north"]].concat())
        .failed(&["context north is not west", "pass its own context"]);
    assert_eq!(world.versions(), before);
}

#[test]
fn without_a_context_there_the_commands_are_said() {
    let world = World::new();
    world.join_west(&[]).good();
    let ended = world.run(&[&LEAVE[..], &["--force", "-o", "json"]].concat()).good().json();
    let commands = ended["commands"].as_array().expect("commands");
    assert_eq!(commands.len(), 5, "{ended}");
    let kept = ended["kept"].as_array().expect("what is kept").len();
    assert_eq!(kept, 2, "{ended}");
}

#[test]
fn a_service_that_lives_there_alone_is_named_unless_it_is_forced() {
    let world = World::new();
    world.join_west(&[]).good();
    import(&world, &["west"]);
    let east = world.api("east");
    east.delete("endpointslices", "shop", "cart-abcde").expect("it was there");
    let before = world.versions();
    world.run(&LEAVE).failed(&["only ready endpoints there: shop/cart", "--force"]);
    assert_eq!(world.versions(), before);
    world.run(&[&LEAVE[..], &["--force"]].concat()).good();
    assert!(east.list("remoteclusters").is_empty());
}

#[test]
fn leaving_and_joining_again_renames_a_cluster() {
    let world = World::new();
    let api = world.api("west");
    api.delete("clusterproperties", "", "cluster.clusterset.k8s.io").expect("it had an id");
    world.join_west(&[]).good();
    let join = ["join", "far-west", "--cidr", "10.2.0.0/16", "--encryption", "off"];
    let join = [&join[..], &["--context", "east", "--remote-context", "west"]].concat();
    world.run(&join).failed(&["RemoteCluster west is this cluster already", "leave west"]);
    world.run(&[&LEAVE[..], &["--force", "--remote-context", "west"]].concat()).good();
    world.run(&join).good();
    assert!(world.api("east").get("remoteclusters", "", "far-west").is_some());
}
