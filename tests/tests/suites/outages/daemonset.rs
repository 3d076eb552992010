//! The life of a DaemonSet on one node: its pod is replaced, and at the end it is taken away.

use std::{fs, time::Duration};

use redirector_tests::{
    api::{Api, Effect, Fault, Token, Verb},
    cluster::{Cluster, Options, replica, slice},
    fixture::SMALL,
    wait::wait_until_or,
};
use serde_json::{Value, json};

use super::fixture::{FAST, answer, kube_proxy, load, none_failed, options, service, until};
use crate::common::objects::{Ids, attached, is_unpinned};

const NAMESPACE: &str = "redirector";
const NAME: &str = "redirector";
const ADDRESS: &str = "10.96.0.10:80";
/// One second for the question, one for the agent's task, and a busy machine.
const LONGEST_STOP: Duration = Duration::from_secs(4);

#[test]
fn in_a_rolling_update_no_connect_fails_and_nothing_is_ever_detached() {
    let mut cluster = started("agent-aaaaa");
    let before = Ids::pinned(&cluster.agent.options().pin_path);
    let all = load(&cluster, ADDRESS, 300);
    for (old, new) in [("agent-aaaaa", "agent-bbbbb"), ("agent-bbbbb", "agent-ccccc")] {
        put_pod(&cluster.api, new);
        // An init container that comes early is told who is there, changes nothing, and is started
        // again by kubelet.
        let early = init_container(&cluster);
        assert!(!early.status.success(), "{early:?}");
        let told = String::from_utf8_lossy(&early.stderr).into_owned();
        assert!(told.contains("is in use by process"), "{told}");

        let (status, took) = cluster.agent.stop().expect("the old one's end");
        assert!(status.success() && took < LONGEST_STOP, "{status} after {took:?}");
        assert_verdict(&cluster, "the DaemonSet is there");
        cluster.api.delete("pods", NAMESPACE, old).expect("the old pod");
        let late = init_container(&cluster);
        assert!(late.status.success(), "{late:?}");
        start(&mut cluster, new, 1);
        println!("outages: {old} ended in {took:?}, and {new} follows");
    }
    cluster.api.put(slice("web", "", &[2])).expect("a slice");
    until(&cluster, "the last one follows the API", || {
        answer(&cluster, ADDRESS).as_deref() == Some("r2")
    });

    let by = none_failed("in a rolling update", all);
    assert_eq!(by.keys().collect::<Vec<_>>(), ["r1", "r2"], "{by:?}");
    // Programs were exchanged where they are attached; the maps that remember something stay.
    let after = Ids::pinned(&cluster.agent.options().pin_path);
    let anew = after.maps_that_differ(&before);
    assert!(anew.is_empty(), "made anew: {anew:#?}");
    println!("outages: rolling update: {by:?}, 0 failed");
}

#[test]
fn after_an_uninstall_nothing_is_left_and_without_a_clear_answer_everything() {
    let mut cluster = started("agent-aaaaa");
    let _kube_proxy = kube_proxy(&cluster, ADDRESS);
    for end in [
        End::Gone,
        End::Deleting,
        End::Replaced,
        End::Unauthorized,
        End::Forbidden,
        End::Hangs,
        End::Away,
        End::Lives,
    ] {
        let ids = Ids::pinned(&cluster.agent.options().pin_path);
        let root = cluster.agent.options().pin_path.clone();
        let all = load(&cluster, ADDRESS, 100);
        end.prepare(&cluster.api);

        let (status, took) = cluster.agent.stop().expect("its end");
        assert!(status.success() && took < LONGEST_STOP, "{end:?}: {status} after {took:?}");
        assert_verdict(&cluster, end.verdict());
        if end.leaves() {
            assert_forgotten(&ids);
            assert!(attached(cluster.cgroup.path()).is_empty(), "{end:?}");
            assert!(is_unpinned(&root), "{end:?}: {} holds something", root.display());
            assert_eq!(in_run_directory(&cluster), [""; 0], "{end:?}");
        } else {
            assert_eq!(ids.living(), ids, "{end:?}");
        }
        let served = answer(&cluster, ADDRESS);
        let is_untouched = served.as_deref() == Some("kube-proxy");
        assert_eq!(is_untouched, end.leaves(), "{end:?}: {served:?}");
        let by = none_failed(&format!("{end:?}"), all);
        let Ids { programs, maps, .. } = ids.living();
        let (programs, maps) = (programs.len(), maps.len());
        println!(
            "outages: {end:?}: ended in {took:?}, {programs} programs and {maps} maps left; {by:?}, \
             0 failed"
        );

        end.undo(&cluster.api);
        install(&cluster.api, "agent-aaaaa");
        start(&mut cluster, "agent-aaaaa", 1);
    }
}

#[test]
fn an_order_outlives_a_rolling_update_and_goes_with_an_uninstall() {
    let mut cluster = started("agent-aaaaa");
    cluster.api.put(slice("web", "", &[1, 2])).expect("a slice");
    cluster.wait_for(&[("shop/web", 2)]);
    let file = cluster.agent.run_directory().join("orders.json");
    assert!(!file.exists(), "nobody has ordered anything");
    let subject = format!("backend={}:8080", replica(1)[0]);
    ask(&cluster, "drain", &[&subject]);
    let drained = json!([{"drain": format!("{subject}/tcp")}]);
    assert_eq!(ask(&cluster, "orders", &["-o", "json"]), drained);
    assert!(file.exists());

    let all = load(&cluster, ADDRESS, 100);
    put_pod(&cluster.api, "agent-bbbbb");
    cluster.agent.stop().expect("the old one's end");
    assert_verdict(&cluster, "the DaemonSet is there");
    assert!(file.exists(), "the next one has to know of it");
    cluster.api.delete("pods", NAMESPACE, "agent-aaaaa").expect("the old pod");
    start(&mut cluster, "agent-bbbbb", 2);
    assert_eq!(ask(&cluster, "orders", &["-o", "json"]), drained);
    let by = none_failed("in a rolling update", all);
    assert_eq!(by.keys().collect::<Vec<_>>(), ["r2"], "{by:?}");

    cluster.api.delete("daemonsets", NAMESPACE, NAME).expect("the DaemonSet");
    cluster.agent.stop().expect("the last one's end");
    assert_verdict(&cluster, "the DaemonSet is gone");
    assert_eq!(in_run_directory(&cluster), [""; 0], "an uninstall leaves something");
    install(&cluster.api, "agent-ccccc");
    start(&mut cluster, "agent-ccccc", 2);
    assert_eq!(ask(&cluster, "orders", &["-o", "json"]), json!([]));
    until(&cluster, "nobody drains the first one any more", || {
        answer(&cluster, ADDRESS).as_deref() == Some("r1")
    });
}

/// What is left where the agent's socket and its orders are.
fn in_run_directory(cluster: &Cluster) -> Vec<String> {
    let entries = fs::read_dir(cluster.agent.run_directory()).expect("a directory");
    entries.map(|entry| entry.expect("an entry").file_name().display().to_string()).collect()
}

/// What the running agent says to an operator; null if it is no JSON.
fn ask(cluster: &Cluster, verb: &str, arguments: &[&str]) -> Value {
    serde_json::from_str(&cluster.agent.answer(verb, arguments)).unwrap_or_default()
}

/// The kernel frees what nobody holds a moment later.
fn assert_forgotten(ids: &Ids) {
    let left = || format!("{:#?}", ids.living().described());
    wait_until_or("the kernel has freed everything", || ids.living().is_empty(), left);
}

/// How the agent's DaemonSet is when the agent is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Gone,
    Deleting,
    Replaced,
    /// Its ServiceAccount was deleted before: its token is nobody's.
    Unauthorized,
    /// Its Role was deleted before.
    Forbidden,
    Hangs,
    Away,
    Lives,
}

impl End {
    fn prepare(self, api: &Api) {
        let delete = || api.delete("daemonsets", NAMESPACE, NAME).expect("the DaemonSet");
        match self {
            Self::Gone => delete(),
            Self::Deleting => {
                // As `kubectl delete --cascade=foreground` does.
                let metadata = json!({"metadata": {"finalizers": ["foregroundDeletion"]}});
                api.patch("daemonsets", NAMESPACE, NAME, metadata).expect("a finalizer");
                delete();
            }
            Self::Replaced => {
                delete();
                put_daemonset(api);
            }
            Self::Unauthorized => {
                delete();
                api.set_tokens(vec![Token::administrator("other", "other")]).expect("tokens");
            }
            Self::Forbidden => {
                delete();
                let stripped = Token::limited("admin-token", "admin", Vec::new());
                api.set_tokens(vec![stripped]).expect("tokens");
            }
            Self::Hangs => {
                delete();
                api.faults().add(Fault::new(Effect::Hang).on(Verb::Get).of("daemonsets"));
            }
            Self::Away => {
                delete();
                api.stop();
            }
            Self::Lives => {}
        }
    }

    fn undo(self, api: &Api) {
        match self {
            Self::Deleting => {
                let metadata = json!({"metadata": {"finalizers": null}});
                // Without its last finalizer it goes.
                api.patch("daemonsets", NAMESPACE, NAME, metadata).expect("no finalizer");
            }
            Self::Unauthorized | Self::Forbidden => {
                let token = Token::administrator("admin-token", "admin");
                api.set_tokens(vec![token]).expect("tokens");
            }
            Self::Hangs => api.faults().clear(),
            Self::Away => api.restart().expect("the server again"),
            Self::Gone | Self::Replaced | Self::Lives => {}
        }
    }

    fn leaves(self) -> bool {
        !matches!(self, Self::Hangs | Self::Away | Self::Lives)
    }

    fn verdict(self) -> &'static str {
        match self {
            Self::Gone => "the DaemonSet is gone",
            Self::Deleting => "the DaemonSet is being deleted",
            Self::Replaced => "another DaemonSet has its name",
            Self::Unauthorized | Self::Forbidden => {
                "the right to ask for the DaemonSet was taken away"
            }
            Self::Hangs | Self::Away => "no clear answer in time",
            Self::Lives => "the DaemonSet is there",
        }
    }
}

/// A cluster with the DaemonSet and a redirected Service, its agent as the pod of that name.
fn started(pod: &str) -> Cluster {
    let pod_arguments = ["--namespace", NAMESPACE, "--pod", pod];
    let options: Options = options(2, &[&FAST[..], &pod_arguments].concat());
    let cluster = Cluster::prepared(options, |api, _| {
        install(api, pod);
        api.put(service("web", "10.96.0.10"))?;
        api.put(slice("web", "", &[1]))?;
        Ok(())
    })
    .expect("a cluster");
    serves(&cluster, 1);
    cluster
}

/// What the pod's init container runs.
fn init_container(cluster: &Cluster) -> std::process::Output {
    let cgroup = cluster.agent.options().cgroup.display().to_string();
    let arguments = [&SMALL[..], &["--cgroup", &cgroup]].concat();
    cluster.agent.run("load", &arguments)
}

/// The agent as another pod's, in the same run directory, until it serves so many endpoints and
/// knows its DaemonSet.
fn start(cluster: &mut Cluster, pod: &str, endpoints: usize) {
    let mut arguments = cluster.agent.options().arguments.clone();
    let at = arguments.iter().position(|argument| argument == "--pod").expect("--pod");
    pod.clone_into(&mut arguments[at + 1]);
    cluster.agent.set_arguments(arguments);
    cluster.api.forget_requests();
    cluster.agent.spawn_again().expect("the agent again");
    cluster.agent.wait_until_ready().expect("it is ready");
    serves(cluster, endpoints);
}

fn serves(cluster: &Cluster, endpoints: usize) {
    cluster.wait_for(&[("shop/web", endpoints)]);
    until(cluster, "the agent knows its DaemonSet", || {
        let requests = cluster.api.requests();
        let asked = requests.iter().filter(|asked| asked.resource == "daemonsets");
        asked.filter(|asked| asked.code == 200).count() > 0
    });
}

fn install(api: &Api, pod: &str) {
    let namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    api.put(namespace).expect("the agent's namespace");
    if api.get("daemonsets", NAMESPACE, NAME).is_none() {
        put_daemonset(api);
    }
    put_pod(api, pod);
}

fn put_daemonset(api: &Api) {
    let daemonset = json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {"namespace": NAMESPACE, "name": NAME},
        "spec": {"selector": {"matchLabels": {"app": NAME}}, "template": {}},
        "status": {"desiredNumberScheduled": 1},
    });
    api.put(daemonset).expect("a DaemonSet");
}

/// A pod as the DaemonSet's controller makes it.
fn put_pod(api: &Api, pod: &str) {
    let daemonset = api.get("daemonsets", NAMESPACE, NAME).expect("the DaemonSet");
    let owner = json!([{
        "apiVersion": "apps/v1", "kind": "DaemonSet", "name": NAME,
        "uid": daemonset["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true,
    }]);
    let pod: Value = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": NAMESPACE, "name": pod, "ownerReferences": owner},
        "spec": {"nodeName": "client", "containers": []},
    });
    api.put(pod).expect("a pod");
}

fn assert_verdict(cluster: &Cluster, verdict: &str) {
    let log = cluster.agent.log();
    let last = log.lines().rfind(|line| line.contains("asked for the DaemonSet"));
    let last = last.unwrap_or_else(|| panic!("the agent has not asked\n{log}"));
    assert!(last.contains(verdict), "not {verdict:?}: {last}");
}
