//! Applications that dial all the time, and sockets that stay.

use std::{
    io::Read as _,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
    thread,
};

use redirector_tests::{
    dialer::{Dial, Dialled, Load, LoadRun, Transport},
    script::{Kind, Outcome, RawAddress, Scripter, Step},
    wait::wait_until,
};

use super::fixture::{
    Fixture, LASTING, LASTING4, LASTING6, MAPPED, PLAIN4, PLAIN6, QUIET, STICKY, TIERS, UDP4, UDP6,
};

/// Dials per second of each load.
const RATE: u32 = 40;

/// What is dialled all the time, and how.
const DIALS: [(&str, Transport); 10] = [
    (PLAIN4, Transport::Tcp),
    (PLAIN6, Transport::Tcp),
    (MAPPED, Transport::Tcp),
    (TIERS, Transport::Tcp),
    (STICKY, Transport::Tcp),
    (QUIET, Transport::Tcp),
    (UDP4, Transport::Udp),
    (UDP6, Transport::Udp),
    (UDP4, Transport::UdpUnconnected),
    (UDP6, Transport::UdpUnconnected),
];

/// Loads under way.
pub(crate) struct Traffic(Vec<(Dial, LoadRun)>);

/// What became of all dials to one address.
pub(crate) struct Dials {
    pub(crate) dial: Dial,
    pub(crate) all: Vec<Dialled>,
}

pub(crate) fn dial(address: &str, transport: Transport) -> Dial {
    Dial { transport, ..Dial::tcp(address.parse().expect("an address")) }
}

impl Traffic {
    pub(crate) fn start(site: &Fixture) -> Self {
        let mut traffic = Self(Vec::new());
        DIALS.iter().for_each(|(address, transport)| traffic.add(site, address, *transport));
        traffic
    }

    pub(crate) fn add(&mut self, site: &Fixture, address: &str, transport: Transport) {
        let dial = dial(address, transport);
        let load = Load { threads: 2, every: true, ..Load::new(dial, RATE) };
        self.0.push((dial, site.client().load(load).expect("a load")));
    }

    pub(crate) fn stop(self) -> Vec<Dials> {
        let stop = |(dial, load): (Dial, LoadRun)| Dials {
            dial,
            all: load.dialled().expect("the end of a load"),
        };
        self.0.into_iter().map(stop).collect()
    }
}

/// Sockets that are connected for as long as this lives, each in a process of its own.
pub(crate) struct Lasting {
    sockets: Vec<(SocketAddr, bool, Scripter)>,
    brought: Brought,
    sent: usize,
}

/// What connections have brought to a listener, one text for each.
type Brought = Arc<Mutex<Vec<String>>>;

const TEXT: &str = "still there;";

impl Lasting {
    /// TCP and UDP in both families.
    pub(crate) fn connect(site: &Fixture) -> Self {
        let node = site.lab.node("n2");
        let brought = Brought::default();
        for address in [node.socket4(LASTING), node.socket6(LASTING)] {
            let listener = node.netns().run(move || TcpListener::bind(address));
            listen(listener.expect("a listener"), &brought);
        }
        let connect = |(address, is_tcp): (&str, bool)| {
            let address: SocketAddr = address.parse().expect("an address");
            let kind = Kind {
                domain: if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 },
                kind: if is_tcp { libc::SOCK_STREAM } else { libc::SOCK_DGRAM },
                protocol: 0,
            };
            let mut scripter = Scripter::start(site.place()).expect("a scripter");
            let script = [Step::Socket(kind), Step::Connect(address.into())];
            for reply in scripter.run(&script).expect("replies") {
                assert_eq!(reply.outcome, Outcome::Done, "{address}");
            }
            (address, is_tcp, scripter)
        };
        let all = [(LASTING4, true), (LASTING6, true), (UDP4, false), (UDP6, false)];
        Self { sockets: all.map(connect).into(), brought, sent: 0 }
    }

    /// Each still sends, and UDP is answered; and each shows the peer that it dialled, where the version
    /// that redirected it is in force or has handed it over.
    pub(crate) fn check(&mut self, when: &str, shows_dialled: bool) {
        for (address, is_tcp, scripter) in &mut self.sockets {
            let script = [Step::Send(TEXT.to_owned()), Step::Peer, Step::Receive];
            let script = if *is_tcp { &script[..2] } else { &script[..] };
            let replies = scripter.run(script).expect("replies");
            assert_eq!(replies[0].outcome, Outcome::Sent(TEXT.len()), "{when}: {address}");
            if shows_dialled {
                let shown = Outcome::Shown(RawAddress::from(*address));
                assert_eq!(replies[1].outcome, shown, "{when}: the peer of {address}");
            }
            if let Some(reply) = replies.get(2) {
                let Outcome::Received(text, _) = &reply.outcome else {
                    panic!("{when}: {address}: {reply:?}");
                };
                assert!(text.ends_with(TEXT), "{when}: {address}: {text}");
            }
        }
        self.sent += 1;
    }

    /// Closes them: all that was sent has come to where the connection was made to.
    pub(crate) fn end(self) {
        let Self { sockets, brought, sent } = self;
        drop(sockets);
        wait_until("both connections have ended", || brought.lock().expect("no panic").len() == 2);
        for text in &*brought.lock().expect("no panic") {
            assert_eq!(*text, TEXT.repeat(sent));
        }
    }
}

fn listen(listener: TcpListener, brought: &Brought) {
    let brought = Arc::clone(brought);
    thread::spawn(move || {
        // Once: probes connect, too, and bring nothing.
        for mut stream in listener.incoming().flatten() {
            let mut text = String::new();
            let _ = stream.read_to_string(&mut text);
            if !text.is_empty() {
                brought.lock().expect("no panic").push(text);
            }
        }
    });
}
