//! Removing it all with clusters joined and the importer dead: nothing waits for anything, and what is left
//! is what `redirector cluster leave` finds.

use std::time::{Duration, Instant};

use redirector_tests::api::builders;
use serde_json::{Value, json};

use super::{
    pair::Pair,
    remains::{held, imported, left, shown},
    render::{helm, kubectl},
};

/// Within this both commands end (issue 12). Nothing in it may be waited for.
const LONGEST: Duration = Duration::from_secs(60);

/// East and west, joined in both directions by the command.
struct Joined(Pair);

#[test]
fn with_kubectl_all_goes_at_once_and_leave_finds_the_rest() {
    if kubectl().is_none() {
        return;
    }
    let joined = Joined::new(&Installed::ByKustomize);
    joined.join();
    joined.import();

    let begun = Instant::now();
    joined.0.run("kubectl --context east delete -k all --ignore-not-found", "");
    let took = begun.elapsed();
    assert!(took < LONGEST, "{took:?}");
    println!("kubectl delete -k took {took:?}");
    joined.assert_only_imports_are_left();
    joined.leave(&[]);
}

/// Helm itself speaks protobuf of its releases, which this API server does not: what it renders is applied,
/// and deleted as `helm uninstall` does.
#[test]
fn with_helm_too() {
    let Some(objects) = helm(&["multicluster.enabled=true", "cluster=east"]) else { return };
    if kubectl().is_none() {
        return;
    }
    let joined = Joined::new(&Installed::ByChart(&objects));
    joined.join();
    joined.import();

    // Each object of the release, and no definition.
    let is_released = |object: &&Value| object["kind"] != "CustomResourceDefinition";
    let list: Vec<_> = objects.iter().filter(is_released).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": list});
    let begun = Instant::now();
    let delete = "kubectl --context east delete -f - --ignore-not-found";
    joined.0.run(delete, &list.to_string());
    let took = begun.elapsed();
    assert!(took < LONGEST, "{took:?}");
    println!("deleting the release took {took:?}");
    // Helm leaves definitions, and so RemoteClusters as well as policies; and the namespace, which it has
    // not made.
    assert!(joined.0.east.get("remoteclusters", "", "west").is_some());
    joined.leave(&[
        "CustomResourceDefinition /exportedservices.redirector.dev",
        "CustomResourceDefinition /failoverpolicies.redirector.dev",
        "CustomResourceDefinition /remoteclusters.redirector.dev",
        "Namespace /redirector-system",
    ]);
}

/// A finalizer would hold the kind, or the namespace, of its object for as long as nobody takes it away.
#[test]
fn nothing_that_joining_writes_has_a_finalizer_and_one_would_be_found() {
    if kubectl().is_none() {
        return;
    }
    let joined = Joined::new(&Installed::ByKustomize);
    joined.join();
    joined.import();
    assert_eq!(held(&joined.0.east), Vec::<String>::new());
    assert_eq!(held(&joined.0.west), Vec::<String>::new());

    let mut remote = joined.0.east.get("remoteclusters", "", "west").expect("it is joined");
    remote["metadata"]["finalizers"] = json!(["redirector.dev/slices"]);
    joined.0.east.put(remote).expect("a RemoteCluster that is held");
    assert_eq!(held(&joined.0.east), ["remoteclusters west"]);
    let delete = "kubectl --context east delete remotecluster west --timeout=1s";
    let held = joined.0.try_run(delete, "");
    assert!(!held.status.success(), "it went with its finalizer");
}

/// How it was installed.
enum Installed<'a> {
    ByKustomize,
    /// What helm rendered.
    ByChart(&'a [Value]),
}

impl Joined {
    fn new(installed: &Installed<'_>) -> Self {
        let pair = Pair::new();
        pair.write("all/kustomization.yaml", KUSTOMIZATION);
        for name in ["east", "west"] {
            let api = pair.of(name);
            pair.run(&format!("kubectl --context {name} apply -k deploy/crd/mcs"), "");
            match installed {
                Installed::ByKustomize => {
                    pair.run(&format!("kubectl --context {name} apply -k all"), "")
                }
                Installed::ByChart(objects) => {
                    // Helm expects its namespace to be there.
                    api.put(namespace("redirector-system")).expect("a namespace");
                    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
                    pair.run(&format!("kubectl --context {name} apply -f -"), &list.to_string())
                }
            };
            api.put(namespace("shop")).expect("a namespace");
            api.put(builders::Service::new("shop", "web").port("", "TCP", 80)).expect("a Service");
        }
        Self(pair)
    }

    fn join(&self) {
        let said = self.0.run(
            "redirector cluster join west --context east --remote-context west --cluster east \
             --cidr 10.2.0.0/16 --encryption off --both --own-cidr 10.1.0.0/16",
            "",
        );
        assert!(said.contains("joined"), "{said}");
        let remote = self.0.east.get("remoteclusters", "", "west").expect("it was joined");
        let secret = remote["spec"]["credentials"]["secretName"].as_str().expect("a name");
        assert!(self.0.east.get("secrets", "redirector-clusters", secret).is_some());
        assert!(self.account_in_west().is_some());
    }

    /// What an importer has written and what the outbox holds, when it died.
    fn import(&self) {
        for object in imported() {
            self.0.east.put(object.clone()).unwrap_or_else(|why| panic!("{object}: {why}"));
        }
    }

    /// Nothing of ours but imports in the namespaces of users, which no account may delete any more.
    fn assert_only_imports_are_left(&self) {
        let is_in_shop = |object: &&Value| object["metadata"]["namespace"] == "shop";
        let mut imports: Vec<_> = imported().iter().filter(is_in_shop).map(shown).collect();
        imports.sort();
        assert_eq!(left(&self.0.east), imports, "in east");
        // The other cluster is as it was: its account for east, and its own installation.
        assert!(self.account_in_west().is_some());
    }

    /// The command takes the rest out of both clusters; the user's Service stays.
    fn leave(&self, kept: &[&str]) {
        let said = self.0.run(
            "redirector cluster leave west --context east --remote-context west --cluster east --force",
            "",
        );
        println!("{said}");
        assert_eq!(left(&self.0.east), kept, "{said}");
        assert!(self.0.east.get("services", "shop", "web").is_some());
        for kind in ["serviceaccounts", "roles", "rolebindings"] {
            let all = self.0.west.list(kind).into_iter();
            let names =
                all.filter_map(|object| object["metadata"]["name"].as_str().map(str::to_owned));
            let of_east: Vec<_> = names.filter(|name| name.starts_with("importer-east")).collect();
            assert_eq!(of_east, Vec::<String>::new(), "{kind} in west");
        }
    }

    fn account_in_west(&self) -> Option<Value> {
        self.0.west.get("serviceaccounts", "redirector-exports", "importer-east")
    }
}

const KUSTOMIZATION: &str = "
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../deploy/base]
components: [../deploy/components/clusters]
";

fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}
