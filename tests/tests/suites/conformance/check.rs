//! Dials of one case: who answers, who never does, with which error and how soon.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use redirector_tests::dialer::{Client, ConnectPhase, Dial, Dialled, Failure, Transport};

use super::{
    expected::{Choice, Protocol, Told},
    placed::Placed,
};

/// Chance that a member of a uniform set does not turn up, per set of dials.
const MISSED: f64 = 1e-9;
/// Dials where all must end alike.
const ALIKE: u32 = 5;
/// Within this an error must be there: microseconds.
const SOONEST: u64 = 100_000;
const TIMEOUT_MS: u64 = 3_000;

/// What was dialled, and what came of it.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    /// Cases with dials.
    pub cases: u32,
    /// Of these, with a choice among several replicas.
    pub choices: u32,
    /// ECONNREFUSED.
    pub refused: u32,
    /// EHOSTUNREACH.
    pub unreachable: u32,
    /// With an address that passes as it is.
    pub untouched: u32,
    /// Sockets.
    pub dials: u32,
    /// Of the errors: microseconds.
    pub slowest_us: u64,
}

impl Tally {
    /// Both.
    pub fn add(&mut self, other: Self) {
        let Self { cases, choices, refused, unreachable, untouched, dials, slowest_us } = other;
        self.cases += cases;
        self.choices += choices;
        self.refused += refused;
        self.unreachable += unreachable;
        self.untouched += untouched;
        self.dials += dials;
        self.slowest_us = self.slowest_us.max(slowest_us);
    }
}

/// Dials everything that a case promises. Panics where it is not so.
pub fn check(client: &mut Client, placed: &Placed) -> Tally {
    let mut check = Check { client, placed, tally: Tally::default() };
    let mut served = BTreeSet::new();
    for told in &placed.told {
        for (socket, protocol) in &told.frontends {
            served.insert((*socket, *protocol));
            check.frontend(told, *socket, *protocol);
        }
    }
    for (socket, protocol) in placed.claimed().difference(&served) {
        check.untouched(*socket, *protocol);
    }
    let Tally { choices, refused, unreachable, untouched, dials, slowest_us, .. } = check.tally;
    Tally {
        cases: (dials > 0).into(),
        choices: choices.min(1),
        refused: refused.min(1),
        unreachable: unreachable.min(1),
        untouched: untouched.min(1),
        dials,
        slowest_us,
    }
}

/// As many dials as it takes to find each member of a set.
pub fn enough(members: usize) -> u32 {
    let members = members.max(2) as f64;
    let dials = (MISSED / members).ln() / (1.0 - 1.0 / members).ln();
    dials.ceil() as u32
}

struct Check<'a> {
    client: &'a mut Client,
    placed: &'a Placed,
    tally: Tally,
}

impl Check<'_> {
    fn frontend(&mut self, told: &Told, socket: SocketAddr, protocol: Protocol) {
        let choice = told.choice(socket.ip());
        for dial in dials(socket, protocol) {
            match &choice {
                Choice::Among(replicas) => self.answered_by_any(dial, replicas, told.has_affinity),
                Choice::Refused(errno) => self.refused(dial, *errno),
            }
        }
    }

    /// All of them answer, nobody else does, and the application sees what it has dialled.
    fn answered_by_any(&mut self, dial: Dial, replicas: &BTreeSet<String>, has_affinity: bool) {
        // Whoever else is listed could be a member by mistake.
        let everybody: BTreeSet<_> =
            self.placed.endpoints().into_iter().map(|(socket, _)| socket).collect();
        let mut answered = BTreeSet::new();
        for dialled in self.dial(dial, enough(everybody.len())) {
            let Ok(name) = &dialled.outcome else { self.fail(dial, &dialled, "an answer") };
            let shown = if dial.transport == Transport::UdpUnconnected {
                dialled.source
            } else {
                dialled.peer
            };
            if shown != Some(dial.address) {
                self.fail(dial, &dialled, "the address that was dialled as the peer's");
            }
            answered.insert(name.clone());
        }
        let is_right = match has_affinity {
            true => answered.len() == 1 && answered.is_subset(replicas),
            false => answered == *replicas,
        };
        let Self { placed, .. } = self;
        assert!(
            is_right,
            "{} ({}): {dial:?}: expected {replicas:?}, {answered:?} answered",
            placed.case.rule, placed.case.source
        );
        self.tally.choices += u32::from(replicas.len() > 1);
    }

    fn refused(&mut self, dial: Dial, errno: i32) {
        for dialled in self.dial(dial, ALIKE) {
            let expected = Failure { phase: ConnectPhase::Connect, errno: Some(errno) };
            if dialled.outcome != Err(expected) || dialled.total_us > SOONEST {
                self.fail(dial, &dialled, &format!("errno {errno} at once"));
            }
            self.tally.slowest_us = self.tally.slowest_us.max(dialled.total_us);
        }
        if errno == libc::EHOSTUNREACH {
            self.tally.unreachable += 1;
        } else {
            self.tally.refused += 1;
        }
    }

    /// The kernel has no route to where it leads, and says so; where a pod is, that pod answers.
    fn untouched(&mut self, socket: SocketAddr, protocol: Protocol) {
        let pods = self.placed.endpoints();
        let pod = pods.iter().find(|(pod, _)| *pod == socket).map(|(_, name)| name.clone());
        if pod.is_none() && !is_nowhere(socket.ip()) {
            return;
        }
        for dial in dials(socket, protocol) {
            for dialled in self.dial(dial, ALIKE) {
                let is_right = match (&dialled.outcome, &pod) {
                    (Ok(name), Some(pod)) => name == pod,
                    (Err(Failure { errno, .. }), None) => *errno == Some(libc::ENETUNREACH),
                    _ => false,
                };
                if !is_right {
                    self.fail(dial, &dialled, "an address that is left alone");
                }
            }
        }
        self.tally.untouched += 1;
    }

    fn dial(&mut self, dial: Dial, times: u32) -> Vec<Dialled> {
        self.tally.dials += times;
        self.client.dial(dial, times).expect("a dialer")
    }

    fn fail(&self, dial: Dial, dialled: &Dialled, expected: &str) -> ! {
        let case = &self.placed.case;
        panic!("{} ({}): {dial:?}: expected {expected}: {dialled:?}", case.rule, case.source)
    }
}

/// Every kind of socket that dials a frontend; an IPv4 address also with an IPv6 socket.
fn dials(socket: SocketAddr, protocol: Protocol) -> Vec<Dial> {
    let transports: &[Transport] = match protocol {
        Protocol::Tcp => &[Transport::Tcp],
        Protocol::Udp => &[Transport::Udp, Transport::UdpUnconnected],
    };
    let mapped = match socket.ip() {
        IpAddr::V4(four) => Some(SocketAddr::new(four.to_ipv6_mapped().into(), socket.port())),
        IpAddr::V6(_) => None,
    };
    let addresses = [Some(socket), mapped].into_iter().flatten();
    addresses
        .flat_map(|address| {
            transports.iter().map(move |transport| Dial {
                address,
                transport: *transport,
                timeout_ms: TIMEOUT_MS,
            })
        })
        .collect()
}

/// Networks of the cases that no route of the lab leads to, nor could one: the namespaces have
/// only their own network.
fn is_nowhere(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => matches!(four.octets(), [10, 96, ..] | [198, 18 | 19, ..]),
        IpAddr::V6(six) => {
            matches!(six.segments(), [0xfd00, 0x96, ..] | [0x2001, 0xdb8, ..])
        }
    }
}
