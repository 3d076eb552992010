//! Backends on loopback, a prober to ask them, and the kernel's view of its sockets.

use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::fd::{AsRawFd as _, OwnedFd},
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, listen, socket,
};
use redirector_core::{
    Input,
    input::{ProbeFailure, ProbeOrder},
    service::{BackendRef, Probe, Protocol},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::timeout,
};

use super::super::{LocalFailures, Prober, Wanted};

/// Port of every backend.
pub const PORT: u16 = 18_080;
/// Far above what anything here takes, for machines that are busy.
pub const DEADLINE: Duration = Duration::from_secs(20);
/// A state in `/proc/net/tcp`.
pub const SYN_SENT: &str = "02";

/// A backend of the test number `test`.
pub fn at(test: u8, host: u8) -> BackendRef {
    BackendRef {
        address: Ipv4Addr::new(127, 77, test, host).into(),
        port: PORT,
        protocol: Protocol::Tcp,
    }
}

pub fn failed(why: &str) -> Result<(), ProbeFailure> {
    Err(ProbeFailure::Failed(why.into()))
}

pub fn socket_address(backend: BackendRef) -> SocketAddr {
    SocketAddr::new(backend.address, backend.port)
}

/// A listener whose queue is longer than any test.
pub fn accepting(backend: BackendRef) -> TcpListener {
    TcpListener::bind(socket_address(backend)).expect("a free port of this test's own address")
}

/// A listener with a full queue: the kernel drops every further SYN.
pub struct BlackHole {
    _listener: OwnedFd,
    _queued: TcpStream,
}

impl BlackHole {
    pub fn new(backend: BackendRef) -> Self {
        let address = socket_address(backend);
        let listener = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)
            .expect("a socket");
        bind(listener.as_raw_fd(), &SockaddrStorage::from(address)).expect("bound");
        listen(&listener, Backlog::new(0).expect("a backlog")).expect("listening");
        let queued = TcpStream::connect(address).expect("the only place in the queue");
        Self { _listener: listener, _queued: queued }
    }
}

/// Local addresses and states of all sockets whose peer is a backend of the test number `test`.
pub fn sockets(test: u8) -> BTreeMap<String, String> {
    let table = fs::read_to_string("/proc/self/net/tcp").expect("the kernel's table of sockets");
    let ours = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let local = fields.next()?.to_owned();
        let (address, port) = fields.next()?.split_once(':')?;
        let address = u32::from_str_radix(address, 16).ok()?.to_ne_bytes();
        let ours = address[..3] == [127, 77, test] && u16::from_str_radix(port, 16) == Ok(PORT);
        ours.then(|| fields.next().map(|state| (local, state.to_owned())))?
    };
    table.lines().skip(1).filter_map(ours).collect()
}

/// How many sockets are connecting, at least. The kernel's table is no snapshot: a socket that
/// ends and the one that follows it may both be in it. What is in two in a row was there between.
pub fn connecting(test: u8) -> usize {
    let [first, second] = [sockets(test), sockets(test)];
    let both = second.iter().filter(|(local, _)| first.contains_key(*local));
    both.filter(|(_, state)| *state == SYN_SENT).count()
}

pub async fn eventually(condition: impl Fn() -> bool, what: &str) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < DEADLINE, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// All are one owner's.
pub fn order(probe: Probe, urgency: u32) -> ProbeOrder {
    ProbeOrder { probe, owners: ["shop".into()].into(), urgency, is_out: false, rest: None }
}

fn routine(
    wanted: impl IntoIterator<Item = (BackendRef, Probe)>,
) -> BTreeMap<BackendRef, ProbeOrder> {
    wanted.into_iter().map(|(backend, probe)| (backend, order(probe, 0))).collect()
}

/// A prober at work. Dropping it ends it.
pub struct Probes {
    pub wanted: watch::Sender<Wanted>,
    pub inbox: mpsc::Receiver<Input>,
    pub task: JoinSet<()>,
    /// The prober and every probing task hold it.
    pub local_failures: Weak<LocalFailures>,
}

impl Probes {
    pub fn start(wanted: impl IntoIterator<Item = (BackendRef, Probe)>, at_once: usize) -> Self {
        let (wanted, wanted_probes) = watch::channel(Arc::new(routine(wanted)));
        let (results, inbox) = mpsc::channel(64);
        let prober = Prober::new(results, at_once);
        let local_failures = Arc::downgrade(&prober.local_failures());
        let mut task = JoinSet::new();
        task.spawn(prober.run(wanted_probes));
        Self { wanted, inbox, task, local_failures }
    }

    pub fn want(&self, wanted: impl IntoIterator<Item = (BackendRef, Probe)>) {
        self.wanted.send_replace(Arc::new(routine(wanted)));
    }

    pub fn order(&self, orders: impl IntoIterator<Item = (BackendRef, ProbeOrder)>) {
        self.wanted.send_replace(Arc::new(orders.into_iter().collect()));
    }

    pub async fn next(&mut self) -> (BackendRef, Result<(), ProbeFailure>) {
        match timeout(DEADLINE, self.inbox.recv()).await.expect("a result in time") {
            Some(Input::Probed { backend, outcome }) => (backend, outcome),
            other => panic!("{other:?}"),
        }
    }

    /// Waits for this result, whatever comes before it.
    pub async fn until(&mut self, backend: BackendRef, outcome: Result<(), ProbeFailure>) {
        let begin = Instant::now();
        while self.next().await != (backend, outcome.clone()) {
            assert!(begin.elapsed() < DEADLINE, "never {backend} {outcome:?}");
        }
    }

    pub fn local_failures(&self) -> u64 {
        let count = self.local_failures.upgrade().expect("the prober runs");
        count.total()
    }
}

/// The first result of probing `backend` in this way.
pub async fn probed(backend: BackendRef, probe: Probe) -> Result<(), ProbeFailure> {
    let mut probes = Probes::start([(backend, probe)], 8);
    let (probed, outcome) = probes.next().await;
    assert_eq!(probed, backend);
    assert_eq!(probes.local_failures(), 0);
    outcome
}
