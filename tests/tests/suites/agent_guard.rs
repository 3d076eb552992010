//! The guard of the agent: it redirects, can be killed, and leaves nothing behind.

use std::{
    fs,
    net::SocketAddr,
    panic::{self, AssertUnwindSafe},
    sync::{Mutex, PoisonError},
};

use redirector_tests::{
    agent::{Agent, AgentOptions},
    bpffs::Bpffs,
    cgroup::Cgroup,
    dialer::{Client, Dial},
    lab::Lab,
    names::Directory,
    place::Place,
    programs,
    replica::Replica,
    traces::traces,
};

const CONFIG: &str = "
node: {name: n1, zone: a, region: eu, cluster: local}
services:
- name: test/one
  frontends: [\"10.96.0.10:80/tcp\"]
  backends: [{address: \"10.77.2.1:8080\", node: n2, zone: a, region: eu}]
";

#[test]
fn an_agent_redirects_survives_its_death_and_leaves_nothing_behind() {
    alone(|| {
        let before = traces();
        {
            let mut site = Site::new();
            let Site { agent, client, .. } = &mut site;
            let service: SocketAddr = "10.96.0.10:80".parse().expect("an address");
            let mut check = || {
                for dialled in client.dial(Dial::tcp(service), 50).expect("dials") {
                    assert_eq!(dialled.outcome, Ok("one".to_owned()));
                    assert_eq!(dialled.peer, Some(service));
                }
            };
            check();
            agent.kill9();
            check();
            agent.spawn_again().expect("a second agent");
            agent.wait_until_ready().expect("ready");
            check();
            let (status, took) = agent.stop().expect("it stops");
            assert!(status.success(), "{status}");
            assert!(took.as_secs() < 2, "{took:?}");
            check();
        }
        assert_eq!(traces(), before);
    });
}

#[test]
fn an_agent_leaves_nothing_behind_after_a_panic() {
    alone(|| {
        let before = traces();

        let result = panic::catch_unwind(AssertUnwindSafe(|| {
            let _site = Site::new();
            panic!("on purpose");
        }));

        assert!(result.is_err());
        assert_eq!(traces(), before);
    });
}

#[test]
fn an_agent_that_cannot_start_fails_with_its_log() {
    alone(|| {
        let before = traces();

        let error = Site::try_new("services: 7\n").err().expect("a bad file").to_string();

        assert!(error.contains("redirector.yaml:1:11"), "{error}");
        assert_eq!(traces(), before);
    });
}

/// An agent and a client on n1, a replica on n2. Dropped from top to bottom.
struct Site {
    client: Client,
    agent: Agent,
    _replica: Replica,
    _cgroup: Cgroup,
    _bpffs: Bpffs,
    _files: Directory,
    _lab: Lab,
}

impl Site {
    fn new() -> Self {
        Self::try_new(CONFIG).expect("a site")
    }

    fn try_new(text: &str) -> anyhow::Result<Self> {
        let lab = Lab::new(&["n1", "n2"])?;
        let (near, far) = (lab.node("n1"), lab.node("n2"));
        let replica = Replica::start(far.netns(), "one", &[far.socket4(8080)])?;
        let files = Directory::new("config")?;
        let config = files.path().join("redirector.yaml");
        fs::write(&config, text)?;
        let cgroup = Cgroup::new("client")?;
        let bpffs = Bpffs::mount()?;
        let binary = programs::redirector()?;
        let agent = Agent::start(AgentOptions::new(binary, near, &cgroup, &bpffs, &config))?;
        let client = Client::start(Place::new(near.netns(), &cgroup))?;
        Ok(Self {
            client,
            agent,
            _replica: replica,
            _cgroup: cgroup,
            _bpffs: bpffs,
            _files: files,
            _lab: lab,
        })
    }
}

/// They look at what the whole process has: one after the other.
fn alone(test: impl FnOnce()) {
    static ONE: Mutex<()> = Mutex::new(());
    let _guard = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    test();
}
