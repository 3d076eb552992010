//! The guards: each does what it says and leaves nothing behind, also after a panic.

use std::{
    fs,
    net::SocketAddr,
    panic::{self, AssertUnwindSafe},
    path::Path,
    process::{self, Command},
    time::{Duration, Instant},
};

use redirector_tests::{
    bpffs::Bpffs,
    cgroup::{self, Cgroup},
    dialer::{Client, ConnectPhase, Dial, Failure, Line, Load, Transport},
    lab::Lab,
    names,
    netns::Netns,
    one_at_a_time::one_at_a_time,
    place::Place,
    replica::Replica,
    traces::traces,
};

const PORT: u16 = 8080;

#[test]
fn every_guard_leaves_nothing_behind() {
    let _alone = one_at_a_time();
    let before = traces();
    {
        let everything = Everything::new();

        assert_ne!(traces(), before, "traces are not seen");
        assert_eq!(everything.lab.nodes().len(), 2);
    }
    assert_eq!(traces(), before);
}

#[test]
fn every_guard_leaves_nothing_behind_after_a_panic() {
    let _alone = one_at_a_time();
    let before = traces();

    let result = panic::catch_unwind(AssertUnwindSafe(|| {
        let _everything = Everything::new();
        panic!("on purpose");
    }));

    assert!(result.is_err());
    assert_eq!(traces(), before);
}

#[test]
fn what_a_killed_run_has_left_is_swept() {
    let _alone = one_at_a_time();
    let mut dead = Command::new("true").spawn().expect("true");
    dead.wait().expect("true ends");
    let name = format!("redirector-lab-{}-0-left", dead.id());
    let cgroup = cgroup::mount_point().expect("cgroup2").join(&name);
    let directory = Path::new("/run").join(&name);
    fs::create_dir(&cgroup).expect("a cgroup");
    fs::create_dir(&directory).expect("a directory");
    let mut inside = Command::new("sleep").arg("1000").spawn().expect("sleep");
    fs::write(cgroup.join("cgroup.procs"), inside.id().to_string()).expect("it moves");
    let living = Cgroup::new("living").expect("a cgroup");

    names::sweep();

    assert!(!cgroup.exists() && !directory.exists());
    assert!(!inside.wait().expect("sleep ends").success(), "a process in it outlived the sweep");
    assert!(living.path().exists(), "what is in use was swept");
}

#[test]
fn a_namespace_is_another_network_and_a_panic_inside_comes_out() {
    let _alone = one_at_a_time();
    let netns = Netns::new().expect("a namespace");
    let network = || fs::read_link("/proc/thread-self/ns/net").expect("a namespace");

    assert_ne!(netns.run(network), network());
    assert_eq!(netns.run(network), netns.clone().run(network));
    let result = panic::catch_unwind(AssertUnwindSafe(|| netns.run(|| panic!("on purpose"))));
    assert!(result.is_err());
    assert!(netns.ip("link set nothing up").is_err(), "an error of ip is lost");
}

#[test]
fn a_lab_of_ten_nodes_is_up_within_two_seconds_and_has_no_way_out() {
    let _alone = one_at_a_time();
    let names: Vec<String> = (1..=10).map(|number| format!("n{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();

    let start = Instant::now();
    let lab = Lab::new(&names).expect("a lab");
    let took = start.elapsed();

    println!("a lab of 10 nodes took {took:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    let far = lab.node("n10");
    let addresses = [far.socket4(PORT), far.socket6(PORT)];
    let _replica = Replica::start(far.netns(), "far", &addresses).expect("a replica");
    let mut client = Client::start(Place::netns(lab.node("n1").netns())).expect("a client");
    for address in addresses {
        let dialled = client.dial(Dial::tcp(address), 1).expect("a dial");
        assert_eq!(dialled[0].outcome, Ok("far".to_owned()));
    }
    for outside in ["10.96.0.10:80", "[fd00:96::a]:80", "192.0.2.1:53"] {
        let dialled = client.dial(Dial::tcp(address(outside)), 1).expect("a dial");
        assert_eq!(dialled[0].outcome, failure(ConnectPhase::Connect, libc::ENETUNREACH));
    }
}

#[test]
fn a_cut_node_is_silent_until_it_is_healed() {
    let _alone = one_at_a_time();
    let lab = Lab::new(&["n1", "n2"]).expect("a lab");
    let (near, far) = (lab.node("n1"), lab.node("n2"));
    let replica = Replica::start(far.netns(), "r", &[far.socket4(PORT)]).expect("a replica");
    let mut client = Client::start(Place::netns(near.netns())).expect("a client");
    let dial = Dial { timeout_ms: 200, ..Dial::tcp(replica.addresses()[0]) };

    lab.cut("n2").expect("a cut");
    let dialled = client.dial(dial, 1).expect("a dial");
    assert_eq!(dialled[0].outcome, failure(ConnectPhase::Connect, libc::ETIMEDOUT));

    lab.heal("n2").expect("healed");
    let dial = Dial { timeout_ms: 5_000, ..dial };
    let dialled = client.dial(dial, 1).expect("a dial");
    assert_eq!(dialled[0].outcome, Ok("r".to_owned()));
}

#[test]
fn a_black_hole_is_silent_and_its_neighbours_still_find_it() {
    let _alone = one_at_a_time();
    let lab = Lab::new(&["n1", "n2"]).expect("a lab");
    let (near, far) = (lab.node("n1"), lab.node("n2"));
    let addresses = [far.socket4(PORT), far.socket6(PORT)];
    let _replica = Replica::start(far.netns(), "r", &addresses).expect("a replica");
    let mut client = Client::start(Place::netns(near.netns())).expect("a client");

    far.drop_packets().expect("a black hole");
    for address in addresses {
        // Nobody has asked for the neighbour before: without an answer to that it would be
        // EHOSTUNREACH, after 3 s.
        let dial = Dial { timeout_ms: 3_500, ..Dial::tcp(address) };
        let dialled = client.dial(dial, 1).expect("a dial");
        assert_eq!(dialled[0].outcome, failure(ConnectPhase::Connect, libc::ETIMEDOUT));
    }
    far.take_packets().expect("no black hole");
    for address in addresses {
        let dialled = client.dial(Dial::tcp(address), 1).expect("a dial");
        assert_eq!(dialled[0].outcome, Ok("r".to_owned()));
    }
}

#[test]
fn a_replica_answers_every_kind_of_dial_and_curl() {
    let _alone = one_at_a_time();
    let lab = Lab::new(&["n1"]).expect("a lab");
    let node = lab.node("n1");
    let addresses = [node.socket4(PORT), node.socket6(PORT)];
    let replica = Replica::start(node.netns(), "the replica", &addresses).expect("a replica");
    let mut client = Client::start(Place::netns(node.netns())).expect("a client");

    let mapped = SocketAddr::new(node.ipv4().to_ipv6_mapped().into(), PORT);
    for address in addresses.into_iter().chain([mapped]) {
        for transport in [Transport::Tcp, Transport::Udp, Transport::UdpUnconnected] {
            let dial = Dial { transport, ..Dial::tcp(address) };
            for dialled in client.dial(dial, 100).expect("dials") {
                assert_eq!(dialled.outcome.as_deref(), Ok("the replica"));
                let shown = [dialled.peer, dialled.source].into_iter().flatten();
                assert!(shown.clone().all(|shown| shown == address), "{dialled:?}");
                assert_ne!(shown.count(), 0);
            }
        }
    }
    let url = format!("http://{}/", replica.addresses()[1]);
    let mut curl = Command::new("curl");
    let output = node.netns().run(|| curl.args(["-sS", "--fail", &url]).output()).expect("curl");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "the replica\n");
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_killed_replica_refuses_and_a_frozen_one_is_silent() {
    let _alone = one_at_a_time();
    let netns = Netns::new().expect("a namespace");
    let mut replica = Replica::start(&netns, "r", &[address("127.0.0.1:80")]).expect("a replica");
    let mut client = Client::start(Place::netns(&netns)).expect("a client");
    let mut dial = |timeout_ms| {
        let dial = Dial { timeout_ms, ..Dial::tcp(address("127.0.0.1:80")) };
        client.dial(dial, 1).expect("a dial").remove(0).outcome
    };

    replica.freeze().expect("frozen");
    assert_eq!(dial(50), failure(ConnectPhase::Answer, libc::EAGAIN));
    replica.thaw().expect("thawed");
    assert_eq!(dial(5_000), Ok("r".to_owned()));
    replica.kill();
    assert_eq!(dial(5_000), failure(ConnectPhase::Connect, libc::ECONNREFUSED));
    replica.restart().expect("restarted");
    assert_eq!(dial(5_000), Ok("r".to_owned()));
}

#[test]
fn a_load_keeps_its_rate_and_counts_what_fails() {
    let _alone = one_at_a_time();
    let netns = Netns::new().expect("a namespace");
    let mut replica = Replica::start(&netns, "r", &[address("127.0.0.1:80")]).expect("a replica");
    let client = Client::start(Place::netns(&netns)).expect("a client");
    let dial = Dial::tcp(address("127.0.0.1:80"));
    let load = Load { dial, rate: 200, threads: 4, duration_ms: None, every: false };

    let start = Instant::now();
    let run = client.load(load).expect("a load");
    assert!(run.lines.recv().is_ok_and(|line| matches!(line, Line::Second(_))));
    replica.kill();
    assert!(run.lines.recv().is_ok_and(|line| matches!(line, Line::Dialled(_))));
    let (lines, sums) = run.stop().expect("the end");

    let rate = sums.dials as f64 / start.elapsed().as_secs_f64();
    assert!((100.0..=210.0).contains(&rate), "{rate} dials per second");
    assert_eq!(sums.by["r"] + sums.failed, sums.dials);
    let failed = lines.iter().filter(|line| matches!(line, Line::Dialled(_))).count() as u64 + 1;
    assert_eq!(failed, sums.failed, "every failed dial is reported");
}

#[test]
fn a_client_is_in_its_cgroup_and_so_is_a_test_that_enters_one() {
    let _alone = one_at_a_time();
    let netns = Netns::new().expect("a namespace");
    let cgroup = Cgroup::new("client").expect("a cgroup");
    let client = Client::start(Place::new(&netns, &cgroup)).expect("a client");
    assert_eq!(cgroup.processes().expect("members"), [client.pid()]);
    drop(client);

    let entered = cgroup.enter().expect("this process moves in");
    assert_eq!(cgroup.processes().expect("members"), [process::id()]);
    drop(entered);
    assert!(cgroup.processes().expect("members").is_empty());

    std::mem::forget(cgroup.enter());
    let path = cgroup.path().to_owned();
    drop(cgroup);
    assert!(!path.exists(), "this process should have been moved out");
}

/// One of each, in use.
struct Everything {
    lab: Lab,
    _replica: Replica,
    _client: Client,
    _cgroup: Cgroup,
    _bpffs: Bpffs,
}

impl Everything {
    fn new() -> Self {
        let lab = Lab::new(&["n1", "n2"]).expect("a lab");
        let node = lab.node("n2");
        let replica = Replica::start(node.netns(), "r", &[node.socket4(PORT)]).expect("a replica");
        let cgroup = Cgroup::new("client").expect("a cgroup");
        let place = Place::new(lab.node("n1").netns(), &cgroup);
        let mut client = Client::start(place).expect("a client");
        let dialled = client.dial(Dial::tcp(replica.addresses()[0]), 1).expect("a dial");
        assert_eq!(dialled[0].outcome, Ok("r".to_owned()));
        let bpffs = Bpffs::mount().expect("a bpffs");
        Self { lab, _replica: replica, _client: client, _cgroup: cgroup, _bpffs: bpffs }
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("a socket address")
}

fn failure(phase: ConnectPhase, errno: i32) -> Result<String, Failure> {
    Err(Failure { phase, errno: Some(errno) })
}
