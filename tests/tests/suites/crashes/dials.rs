//! Who dials meanwhile, TCP and UDP, over both families, and what may come of it.

use std::net::SocketAddr;

use redirector_tests::dialer::{Dial, Dialled, Line, Load, LoadRun, Transport};

use super::fixture::{Fixture, PLAIN};

/// Dials per second of each.
const RATE: u32 = 25;

/// What is dialled, and the first part of the name of each replica that may answer.
const DIALS: [(&str, Transport, &str); 4] = [
    ("10.77.4.1:80", Transport::Tcp, "web-"),
    ("[fd77::4:1]:80", Transport::Tcp, "web-"),
    ("10.77.4.1:53", Transport::UdpUnconnected, "dns-"),
    ("[fd77::4:1]:53", Transport::Udp, "dns-"),
];

/// What the dialled addresses lead to.
pub(crate) const CONFIG: &str = "
node: {name: n1, zone: a, region: eu}
services:
- name: crash/web
  frontends: ['10.77.4.1:80/tcp', '[fd77::4:1]:80/tcp']
  backends: &web
  - {address: '10.77.2.1:8081', node: n2, zone: a, region: eu}
  - {address: '10.77.3.1:8081', node: n3, zone: a, region: eu}
  - {address: '[fd77::2:1]:8081', node: n2, zone: a, region: eu}
  - {address: '[fd77::3:1]:8081', node: n3, zone: a, region: eu}
- name: crash/dns
  frontends: ['10.77.4.1:53/udp', '[fd77::4:1]:53/udp']
  backends: &dns
  - {address: '10.77.2.1:8082', node: n2, zone: a, region: eu}
  - {address: '10.77.3.1:8082', node: n3, zone: a, region: eu}
  - {address: '[fd77::2:1]:8082', node: n2, zone: a, region: eu}
  - {address: '[fd77::3:1]:8082', node: n3, zone: a, region: eu}
";

/// What programs do meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Programs {
    /// They serve all the time: each dial is redirected, and sees the address that it dialled.
    Serve,
    /// They come or go: a dial that is not redirected reaches what has the address itself.
    ComeOrGo,
}

/// Loads under way.
pub(crate) struct Dials {
    loads: Vec<(LoadRun, SocketAddr, &'static str)>,
    programs: Programs,
    /// The last part of the name of replicas that must not answer.
    without: Option<&'static str>,
}

impl Dials {
    pub(crate) fn start(site: &Fixture, programs: Programs) -> Self {
        let start = |(address, transport, name): &(&str, Transport, &'static str)| {
            let address: SocketAddr = address.parse().expect("an address");
            let dial = Dial { transport: *transport, ..Dial::tcp(address) };
            let load = Load { threads: 2, every: true, ..Load::new(dial, RATE) };
            let run = site.client().load(load).expect("a load");
            (run, address, *name)
        };
        Self { loads: DIALS.iter().map(start).collect(), programs, without: None }
    }

    /// Those whose name ends so must not answer.
    pub(crate) fn without(self, end: &'static str) -> Self {
        Self { without: Some(end), ..self }
    }

    /// Ends them. None has failed and none was led elsewhere; returns how many there were.
    pub(crate) fn stop(self) -> usize {
        let Self { loads, programs, without } = self;
        let mut count = 0;
        for (load, address, name) in loads {
            // A load's other lines are read while it runs.
            let pending: Vec<_> = load.lines.try_iter().collect();
            let (rest, _) = load.stop().expect("the end of a load");
            for line in pending.into_iter().chain(rest) {
                let Line::Dialled(dialled) = line else { continue };
                let is_out = |name: &String| without.is_some_and(|end| name.ends_with(end));
                let is_led_there = dialled.outcome.as_ref().is_ok_and(is_out);
                let is_right = is_right(&dialled, address, name, programs);
                assert!(is_right && !is_led_there, "{address}: {dialled:?}");
                count += 1;
            }
        }
        count
    }
}

fn is_right(dialled: &Dialled, address: SocketAddr, name: &str, programs: Programs) -> bool {
    let Ok(answered) = &dialled.outcome else { return false };
    if programs == Programs::ComeOrGo {
        // Whether its peer is told depends on which program goes first, and on the moment.
        return answered.starts_with(name) || answered == PLAIN;
    }
    let is_dialled = |seen: Option<SocketAddr>| seen.is_none_or(|seen| seen == address);
    answered.starts_with(name) && is_dialled(dialled.peer) && is_dialled(dialled.source)
}
