//! The cells of the socket matrix, and what the application does in each.

use std::fmt;

use redirector_tests::script::{RawAddress, Step};

use super::{
    dialogue::Dialogue,
    fixture::{Family, PLAIN, Spot, name},
};

/// How an application uses its socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    TcpBlocking,
    TcpNonBlocking,
    UdpConnected,
    UdpSendTo,
    UdpSendMany,
    /// Two services in turn on one socket.
    UdpAlternating,
}

/// What the cell is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matter {
    GetPeerName,
    Source,
    ReconnectElsewhere,
    Disconnect,
}

/// One combination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    pub family: Family,
    pub way: Way,
    pub matter: Matter,
    pub backends: u8,
}

impl Way {
    pub const ALL: [Self; 6] = [
        Self::TcpBlocking,
        Self::TcpNonBlocking,
        Self::UdpConnected,
        Self::UdpSendTo,
        Self::UdpSendMany,
        Self::UdpAlternating,
    ];

    fn is_tcp(self) -> bool {
        matches!(self, Self::TcpBlocking | Self::TcpNonBlocking)
    }

    fn connects(self) -> bool {
        self.is_tcp() || self == Self::UdpConnected
    }

    fn socket(self) -> i32 {
        match self {
            Self::TcpBlocking => libc::SOCK_STREAM,
            Self::TcpNonBlocking => libc::SOCK_STREAM | libc::SOCK_NONBLOCK,
            _ => libc::SOCK_DGRAM,
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { family, way, matter, backends } = self;
        write!(f, "{family:?} x {way:?} x {matter:?} x {backends} backends")
    }
}

impl Cell {
    /// Every combination: each makes sense, if only to show an error.
    pub fn all() -> Vec<Self> {
        let mut cells = Vec::new();
        for family in Family::ALL {
            for way in Way::ALL {
                for matter in [
                    Matter::GetPeerName,
                    Matter::Source,
                    Matter::ReconnectElsewhere,
                    Matter::Disconnect,
                ] {
                    for backends in [0, 1, 3] {
                        cells.push(Self { family, way, matter, backends });
                    }
                }
            }
        }
        cells
    }

    /// What the application does and sees.
    pub fn dialogue(self) -> Dialogue {
        let mut talk = Talk { cell: self, dialogue: Dialogue::default() };
        talk.dialogue.socket(self.family.socket(self.way.socket()));
        if self.way.connects() {
            talk.with_connects();
        } else {
            talk.without_connects();
        }
        talk.dialogue
    }
}

struct Talk {
    cell: Cell,
    dialogue: Dialogue,
}

impl Talk {
    fn with_connects(&mut self) {
        let service = self.service(10);
        self.connect(service);
        match self.cell.matter {
            Matter::GetPeerName => {
                self.show(service);
                self.ask(service);
                self.show(service);
            }
            Matter::Source => {
                self.ask(service);
            }
            Matter::ReconnectElsewhere => {
                if self.cell.way.is_tcp() && self.cell.backends > 0 {
                    let plain = self.plain();
                    self.dialogue.fails(Step::Connect(self.seen(plain)), libc::EISCONN);
                    self.show(service);
                    self.dialogue.disconnect();
                }
                let plain = self.plain();
                self.connect_plain();
                self.dialogue.peer_is(self.seen(plain));
                self.ask_plain();
                if self.cell.way.is_tcp() {
                    self.dialogue.disconnect();
                }
                let other = self.service(11);
                self.connect(other);
                if self.cell.backends > 0 {
                    self.show(other);
                    self.ask(other);
                }
            }
            Matter::Disconnect => {
                self.dialogue.disconnect();
                self.dialogue.has_no_peer();
                self.connect(service);
                self.show(service);
                self.ask(service);
            }
        }
    }

    fn without_connects(&mut self) {
        let service = self.service(10);
        match self.cell.matter {
            Matter::GetPeerName => {
                self.dialogue.has_no_peer();
                self.exchange();
                self.dialogue.has_no_peer();
            }
            Matter::Source => {
                self.exchange();
                self.exchange();
            }
            Matter::ReconnectElsewhere => {
                self.exchange();
                let plain = self.plain();
                self.connect_plain();
                self.dialogue.peer_is(self.seen(plain));
                self.ask_plain();
                self.dialogue.disconnect();
                if !self.stays_deaf() {
                    self.exchange();
                }
            }
            Matter::Disconnect => {
                self.connect(service);
                self.dialogue.disconnect();
                self.dialogue.has_no_peer();
                self.exchange();
            }
        }
    }

    fn service(&self, number: u8) -> Spot {
        Spot::service(self.cell.backends, number)
    }

    fn plain(&self) -> Spot {
        Spot::replica(PLAIN)
    }

    fn seen(&self, spot: Spot) -> RawAddress {
        spot.seen_by(self.cell.family)
    }

    fn names(&self) -> Vec<String> {
        (1..=self.cell.backends).map(name).collect()
    }

    /// Connects to a service, or is refused.
    fn connect(&mut self, service: Spot) {
        let address = self.seen(service);
        if self.cell.backends == 0 {
            self.dialogue.fails(Step::Connect(address), libc::ECONNREFUSED);
        } else {
            self.dialogue.connect(address, self.cell.way != Way::TcpNonBlocking);
        }
    }

    fn connect_plain(&mut self) {
        let plain = self.plain();
        self.dialogue.connect(self.seen(plain), self.cell.way != Way::TcpNonBlocking);
    }

    /// Linux does not clear `sk_v6_daddr` when an IPv6 UDP socket disconnects, so that it hears
    /// nobody but its last peer: also without us, as `untouched` shows.
    fn stays_deaf(&self) -> bool {
        self.cell.family == Family::Ipv6
    }

    /// The connected peer's name.
    fn show(&mut self, service: Spot) {
        if self.cell.backends == 0 {
            self.dialogue.has_no_peer();
        } else {
            self.dialogue.peer_is(self.seen(service));
        }
    }

    /// Question and answer through a connected socket.
    fn ask(&mut self, service: Spot) {
        if self.cell.backends > 0 {
            let names = self.names();
            self.ask_peer(&names, service);
        } else if self.cell.way.is_tcp() {
            self.dialogue.fails(Step::Receive, libc::ENOTCONN);
        } else {
            self.dialogue.fails(Step::Send("nobody".to_owned()), libc::EDESTADDRREQ);
        }
    }

    fn ask_plain(&mut self) {
        self.ask_peer(&[name(PLAIN)], self.plain());
    }

    fn ask_peer(&mut self, names: &[String], spot: Spot) {
        if self.cell.way.is_tcp() {
            self.dialogue.answer(names, RawAddress::none());
        } else {
            self.dialogue.send();
            self.dialogue.answer(names, self.seen(spot));
        }
    }

    /// Questions and answers through an unconnected socket, in this cell's way.
    fn exchange(&mut self) {
        let [one, other] = [10, 11].map(|number| self.seen(self.service(number)));
        let names = self.names();
        if self.cell.way == Way::UdpSendMany {
            let all = vec![one.clone(); 3];
            if self.cell.backends == 0 {
                let all = all.into_iter().map(|to| (to, "nobody".to_owned())).collect();
                return self.dialogue.fails(Step::SendMany(all), libc::ECONNREFUSED);
            }
            self.dialogue.send_many(&all, all.len());
            for source in all {
                self.dialogue.answer(&names, source);
            }
            return;
        }
        let turns = match (self.cell.way, self.cell.matter) {
            (Way::UdpAlternating, Matter::Disconnect) if self.stays_deaf() => {
                vec![one.clone(), one]
            }
            (Way::UdpAlternating, _) => vec![one.clone(), other.clone(), one, other],
            _ => vec![one],
        };
        for to in turns {
            if self.cell.backends == 0 {
                self.dialogue.fails(Step::SendTo(to, 0, "nobody".to_owned()), libc::ECONNREFUSED);
            } else {
                self.dialogue.send_to(to.clone());
                self.dialogue.answer(&names, to);
            }
        }
    }
}
