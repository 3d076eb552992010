//! An agent that is gone for longer than `--stale-after`: kube-proxy's addresses are left alone, and
//! are ours again as soon as it is back.

use std::{
    thread,
    time::{Duration, Instant},
};

use redirector_tests::{
    cluster::{Cluster, name, slice},
    dialer::Dial,
    fixture::Site,
};

use super::fixture::{
    FAST, answer, kube_proxy, load, none_failed, options, service, until, until_of,
};

const ADDRESS: &str = "10.96.0.10:80";
const STALE_AFTER: Duration = Duration::from_secs(5);
/// The agent says twice a second that it is there.
const BEAT: Duration = Duration::from_millis(500);
/// What the issue allows for the first redirected connect after the agent's return.
const RETURN: Duration = Duration::from_secs(1);

#[test]
fn without_its_agent_an_address_is_left_to_kube_proxy_until_the_agent_is_back() {
    let arguments = [&FAST[..], &["--stale-after", "5s"]].concat();
    let mut cluster = Cluster::new(options(1, &arguments)).expect("a cluster");
    cluster.api.put(service("web", "10.96.0.10")).expect("a Service");
    cluster.api.put(slice("web", "", &[1])).expect("a slice");
    cluster.wait_for(&[("shop/web", 1)]);
    let _kube_proxy = kube_proxy(&cluster, ADDRESS);
    assert_eq!(answer(&cluster, ADDRESS), Some(name(1)));
    let all = load(&cluster, ADDRESS, 100);

    cluster.agent.freeze().expect("SIGSTOP");
    let frozen = left_alone(&cluster);
    let before = cluster.agent.counter("agent_gone");
    assert!(before > 0, "no dial was counted as agent_gone");
    cluster.agent.thaw().expect("SIGCONT");
    let thawed = until(&cluster, "the thawed agent redirects", || redirects(&cluster));
    assert!(thawed < RETURN, "redirected {thawed:?} after the agent went on");

    cluster.agent.kill9();
    let killed = left_alone(&cluster);
    let after = cluster.agent.counter("agent_gone");
    assert!(after > before, "{before} and then {after} dials counted as agent_gone");
    cluster.agent.spawn_again().expect("the agent again");
    cluster.agent.wait_until_ready().expect("it is ready");
    let started = until(&cluster, "the new agent redirects", || redirects(&cluster));
    assert!(started < RETURN, "redirected {started:?} after the new agent was ready");

    let by = none_failed("with and without agent", all);
    assert!(by["kube-proxy"] > 0 && by["r1"] > 0, "{by:?}");
    println!(
        "outages: left alone {frozen:?} after SIGSTOP and {killed:?} after SIGKILL, redirected \
         {thawed:?} and {started:?} after the return; {by:?}, 0 failed; {after} agent_gone"
    );
}

#[test]
fn addresses_of_a_file_are_redirected_however_long_the_agent_is_gone() {
    let site = Site::new("stale", &["n1", "n2"]).with_replica("n2", "r1", 8080);
    let backend = site.replicas[0].addresses()[0];
    let mut fixture = site.start(&format!(
        "node: {{name: n1}}\nservices:\n- name: web\n  frontends: ['{ADDRESS}/tcp']\n  backends:\n  \
         - {{address: '{backend}', node: n2}}\n"
    ));
    let mut client = fixture.client();
    let dial = Dial::tcp(ADDRESS.parse().expect("an address"));
    let mut redirects = |times| {
        let dialled = client.dial(dial, times).expect("a dial");
        dialled.iter().all(|one| one.outcome == Ok("r1".to_owned()))
    };
    until_of(&fixture.agent, "the file is in force", || redirects(1));

    fixture.agent.kill9();
    let begun = Instant::now();
    while begun.elapsed() < STALE_AFTER + 2 * BEAT {
        assert!(redirects(5), "not redirected {:?} after the agent's end", begun.elapsed());
        thread::sleep(Duration::from_millis(50));
    }
}

/// How long after the agent's last sign of life kube-proxy answers, and nobody else any more.
fn left_alone(cluster: &Cluster) -> Duration {
    let took = until(cluster, "kube-proxy answers", || {
        answer(cluster, ADDRESS).as_deref() == Some("kube-proxy")
    });
    let allowed = STALE_AFTER.saturating_sub(2 * BEAT)..STALE_AFTER + 4 * BEAT;
    assert!(allowed.contains(&took), "kube-proxy answers {took:?} after the agent was gone");
    for dialled in cluster.dial(ADDRESS, 50).expect("dials") {
        assert_eq!(dialled.outcome.as_deref(), Ok("kube-proxy"), "{dialled:?}");
    }
    took
}

fn redirects(cluster: &Cluster) -> bool {
    answer(cluster, ADDRESS) == Some(name(1))
}
