//! One pod's connections to the admin endpoint neither kill the agent nor keep its probes waiting.

use std::{
    fs,
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream},
    os::{fd::AsRawFd as _, unix::fs::PermissionsExt as _},
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use nix::sys::{
    resource::{Resource, getrlimit, setrlimit},
    socket::{self, AddressFamily, SockFlag, SockType, SockaddrIn},
};
use redirector_tests::{agent::Agent, memory::Memory, programs};

use super::fixture::{CONFIGURATION, Fixture};

/// What the agent may have.
const LIMIT: u64 = 300 << 20;
const UNFINISHED: usize = 8_000;
/// What they may cost it.
const COST: u64 = 10 << 20;
/// How soon a probe must be answered; the kubelet waits 2 s.
const PROMPT: Duration = Duration::from_secs(1);
/// Where the pod's connections come from; probes come from another address.
const POD: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// How long connections are opened without end.
const FLOOD: Duration = Duration::from_secs(2);

#[test]
fn unfinished_requests_cost_little_and_liveness_is_answered_among_them() {
    let site = Fixture::new(CONFIGURATION);
    let Some(memory) = Memory::limited(LIMIT).expect("a limit of memory") else {
        println!("SKIP inspect::flood: no cgroup here has a controller of memory");
        return;
    };
    allow_descriptors();
    let mut options = site.options();
    options.binary = within(&site, &memory);
    let mut agent = Agent::start(options).expect("an agent");
    let before = resident(&agent);

    let netns = site.lab.node("node").netns();
    let connect = |request: &str| connect(POD, agent.admin(), request);
    let crowd: Vec<_> = netns.run(|| {
        let unfinished = |_| connect("GET /metrics HTTP/1.1\r\nx: ").expect("a connection");
        (0..UNFINISHED).map(unfinished).collect()
    });
    let cost = resident(&agent).saturating_sub(before);
    println!("{UNFINISHED} unfinished requests cost {} KiB", cost >> 10);
    assert!(cost <= COST, "{UNFINISHED} unfinished requests cost {} KiB", cost >> 10);
    assert_is_prompt(&agent, "/livez");
    assert_is_prompt(&agent, "/metrics");
    drop(crowd);

    // Without end, whole requests too.
    let (is_over, opened) = (AtomicBool::new(false), AtomicU64::new(0));
    let slowest = thread::scope(|scope| {
        for request in ["", "GET /metrics HTTP/1.1\r\n\r\n"] {
            let (is_over, opened, connect) = (&is_over, &opened, &connect);
            scope.spawn(move || {
                netns.run(|| {
                    while !is_over.load(Ordering::Relaxed) {
                        let connected = u64::from(connect(request).is_ok());
                        opened.fetch_add(connected, Ordering::Relaxed);
                    }
                });
            });
        }
        let (begin, _end) = (Instant::now(), Ending(&is_over));
        let mut slowest = Duration::ZERO;
        while begin.elapsed() < FLOOD {
            slowest = slowest.max(assert_is_prompt(&agent, "/livez"));
            thread::sleep(Duration::from_millis(50));
        }
        slowest
    });
    let opened = opened.into_inner();
    println!("beside {opened} connections in {FLOOD:?} the slowest answer took {slowest:?}");
    assert!(agent.is_ready().expect("it lives"));
    assert_eq!(memory.killed().expect("a count"), 0);
    agent.finish().expect("no errors");
}

/// Ends the flood, also when the test fails.
struct Ending<'o>(&'o AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A connection from that address, on which so much of a request was sent.
fn connect(from: Ipv4Addr, to: SocketAddr, request: &str) -> io::Result<TcpStream> {
    let SocketAddr::V4(to) = to else { panic!("{to} is not IPv4") };
    let (family, kind) = (AddressFamily::Inet, SockType::Stream);
    let mut stream = TcpStream::from(socket::socket(family, kind, SockFlag::SOCK_CLOEXEC, None)?);
    socket::bind(stream.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(from, 0)))?;
    socket::connect(stream.as_raw_fd(), &SockaddrIn::from(to))?;
    // It may be cut off already.
    let _ = stream.write_all(request.as_bytes());
    Ok(stream)
}

fn assert_is_prompt(agent: &Agent, path: &str) -> Duration {
    let begin = Instant::now();
    let (status, body) = agent.get(path).expect("an answer");
    let took = begin.elapsed();
    assert_eq!(status, 200, "{path}: {body}");
    assert!(took <= PROMPT, "{path} took {took:?}");
    took
}

/// A script that starts the agent within that limit.
fn within(site: &Fixture, memory: &Memory) -> PathBuf {
    let script = site.directory.path().join("within");
    let binary = programs::redirector().expect("the redirector");
    let (procs, binary) = (memory.procs(), binary.display());
    let text = format!("#!/bin/sh\necho 0 >{}\nexec {binary} \"$@\"\n", procs.display());
    fs::write(&script, text).expect("a script");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).expect("an executable script");
    script
}

/// Bytes of memory of the agent's own: what is mapped of files and maps is not counted.
fn resident(agent: &Agent) -> u64 {
    let pid = agent.pid().expect("it runs");
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("a line");
    let number = line.trim().strip_suffix(" kB").expect("kilobytes");
    number.parse::<u64>().expect("a number") << 10
}

/// As many as this test opens.
fn allow_descriptors() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    let wanted = UNFINISHED as u64 + 1_000;
    assert!(most >= wanted, "this test needs {wanted} descriptors, {most} are allowed");
    setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("a higher limit");
}
