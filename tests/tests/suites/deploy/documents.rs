//! docs/two-clusters.md: its files are what they should be, and its commands do what it says, in order.

use std::{collections::BTreeSet, fs, net::SocketAddr};

use redirector_policy::RemoteClusterSpec;
use redirector_tests::{
    api::{Request, builders},
    fleet::Controller,
    replica::Replica,
};
use serde_json::{Value, json};

use super::{
    pair::Pair,
    policies,
    remains::held,
    render::{deploy, documents, kubectl},
};

/// Those that ask an agent: suite `operator` runs them.
const OF_AGENT: [&str; 2] = ["redirector simulate", "redirector explain"];
/// Before this a kubelet has started the Deployments.
const NEEDS_PODS: &str = "lease/redirector-heartbeat";
/// As the component calls the Deployment's account.
const ACCOUNT: &str = "system:serviceaccount:redirector-clusters:redirector-clusters";
/// A replica of west: in the range that the page names.
const REPLICA: ([u8; 4], u16) = ([10, 2, 0, 7], 8080);

#[test]
fn the_files_of_two_clusters_are_valid() {
    let files = files();
    let named = |name: &str| {
        let (_, text) = files.iter().find(|(of, _)| of == name).expect(name);
        documents(text).remove(0)
    };
    policies::accept(&named("checkout-policy.yaml")).unwrap_or_else(|why| panic!("{why}"));
    let remote = named("west.yaml");
    assert_eq!(remote["kind"], "RemoteCluster");
    let spec = RemoteClusterSpec::read(&remote["spec"]).unwrap_or_else(|why| panic!("{why}"));
    spec.validate().unwrap_or_else(|why| panic!("{why}"));
    let example = fs::read_to_string(deploy().join("examples/clusters/discovered-by-others.yaml"));
    let example = documents(&example.expect("the example")).remove(0);
    assert_eq!(example["spec"], remote["spec"], "page and example");
}

#[test]
fn the_commands_of_two_clusters_do_what_it_says() {
    if kubectl().is_none() {
        return;
    }
    let pair = Pair::new();
    for (name, text) in files() {
        pair.write(&name, &text);
        if name.starts_with("east/") {
            pair.write(&name.replace("east/", "west/"), &text.replace("=east", "=west"));
        }
    }
    pair.netns.ip("addr add 10.2.0.7/32 dev lo").expect("an address");
    let address = SocketAddr::from(REPLICA);
    let _replica = Replica::start(&pair.netns, "w1", &[address]).expect("a replica");
    for (name, api) in [("east", &pair.east), ("west", &pair.west)] {
        api.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}))
            .expect("a namespace");
        let service = builders::Service::new("shop", "checkout").port("", "TCP", 80);
        api.put(service.spec("selector", json!({"app": "checkout"}))).expect("a Service");
        let slice = builders::EndpointSlice::new("shop", "checkout-1", "checkout");
        let replica = if name == "west" { "10.2.0.7" } else { "10.1.0.7" };
        let slice = slice.port("", "TCP", REPLICA.1).managed_by("endpointslice-controller.k8s.io");
        api.put(slice.endpoint(builders::Endpoint::new(replica).node("n1"))).expect("a slice");
    }
    let mut pods = Vec::new();
    let mut count = 0;
    for command in commands() {
        if OF_AGENT.iter().any(|of| command.starts_with(of)) {
            continue;
        }
        if command.contains(NEEDS_PODS) && pods.is_empty() {
            pods = start_pods(&pair);
        }
        println!("$ {command}");
        if command.contains("cluster leave") {
            for api in [&pair.east, &pair.west] {
                assert_eq!(held(api), Vec::<String>::new(), "an uninstall would wait for these");
            }
        }
        let output = pair.try_run(&command, "");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        println!("{said}");
        if !output.status.success() {
            let logs: String = pods.iter().map(|pod: &Controller| pod.log() + "\n").collect();
            panic!("{command}:\n{said}\nthe Deployments:\n{logs}");
        }
        count += 1;
        // What the page says of them.
        let says = |what: &str| assert!(said.contains(what), "{command}: no {what:?} in:\n{said}");
        if command.contains("get serviceimports") {
            says("checkout");
        } else if command.contains("cluster list") {
            says("Live");
        } else if command.contains("apply -f checkout-policy.yaml") {
            let imported = slices_of_west(&pair);
            let addresses: Vec<_> =
                imported.iter().map(|one| &one["endpoints"][0]["addresses"]).collect();
            assert!(addresses.contains(&&json!(["10.2.0.7"])), "{imported:?}");
        } else if command.contains("cluster leave") {
            assert_eq!(slices_of_west(&pair), Vec::<Value>::new());
            assert!(pair.east.get("remoteclusters", "", "west").is_none());
            assert!(
                pair.west.get("serviceaccounts", "redirector-exports", "importer-east").is_none()
            );
        }
    }
    assert!(count >= 15, "only {count} commands");
    for api in [&pair.east, &pair.west] {
        let of_account = |request: &&Request| request.user == ACCOUNT;
        let all = api.requests();
        let asked: BTreeSet<_> = all
            .iter()
            .filter(of_account)
            .map(|request| (request.resource.clone(), format!("{:?}", request.verb)))
            .collect();
        println!("{asked:?}");
        let refused: Vec<_> =
            all.iter().filter(of_account).filter(|request| request.code == 403).collect();
        assert!(refused.is_empty(), "rights are missing: {refused:#?}");
    }
    assert!(pods.iter_mut().all(Controller::is_running), "a Deployment has ended");
}

/// To kubectl's parser `Off` without quotes is false, which the kind does not take.
#[test]
fn what_join_would_write_is_read_by_kubectl_as_it_is_meant() {
    if kubectl().is_none() {
        return;
    }
    let pair = Pair::new();
    for name in ["east", "west"] {
        pair.run(&format!("kubectl --context {name} apply -k deploy/crd"), "");
    }
    let join = "redirector cluster join west --context east --remote-context west --cluster east --cidr \
                10.2.0.0/16 --encryption off --dry-run -o yaml";
    let read = "kubectl label --local -f - read=true -o json";
    let said = pair.run(&format!("{join} > joined.yaml && {read} < joined.yaml"), "");
    assert!(!said.contains("\"mode\": false"), "{said}");
    assert!(said.contains("\"mode\": \"Off\""), "{said}");
}

/// Imported slices in east.
fn slices_of_west(pair: &Pair) -> Vec<Value> {
    let slices = pair.east.list("endpointslices").into_iter();
    let label = "multicluster.kubernetes.io/source-cluster";
    slices.filter(|slice| slice["metadata"]["labels"][label] == "west").collect()
}

/// What the kubelets do: a replica of each Deployment, with the token of its account.
fn start_pods(pair: &Pair) -> Vec<Controller> {
    ["east", "west"]
        .map(|name| {
            let account = "redirector-clusters";
            let token = pair.of(name).issue(account, account).expect("a token");
            let kubeconfig =
                pair.write(&format!("pod-{name}"), &pair.kubeconfig(name, Some(&token)));
            let place = (name, "redirector-clusters-0");
            Controller::start(&pair.netns, place, &kubeconfig, &[]).expect("a replica")
        })
        .into()
}

/// The page's files: YAML that begins with its name.
fn files() -> Vec<(String, String)> {
    blocks("yaml")
        .into_iter()
        .map(|text| {
            let name = text.lines().next().and_then(|line| line.strip_prefix("# "));
            (name.expect("a block of YAML begins with its name").to_owned(), text)
        })
        .collect()
}

/// The page's commands, in order.
fn commands() -> Vec<String> {
    let blocks = blocks("console");
    let lines = blocks.iter().flat_map(|block| block.lines());
    lines.filter_map(|line| line.strip_prefix("$ ").map(str::to_owned)).collect()
}

fn blocks(language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut parts = PAGE.split("```");
    while let (Some(_), Some(block)) = (parts.next(), parts.next()) {
        if let Some(text) = block.strip_prefix(&format!("{language}\n")) {
            blocks.push(text.to_owned());
        }
    }
    blocks
}

const PAGE: &str = include_str!("../../../../docs/two-clusters.md");
