//! Reads the maps in memory as the kernel does: with its own decision.

use std::net::IpAddr;

use redirector_common::{
    Address6, AllDown, BackendValue, Entry, Header, HealthWord, NodeWord, Reason, ServiceWord,
    Settings, TierRange,
};
use redirector_core::service::{BackendRef, Frontend};
use redirector_ebpf::{Tables, decide, service};

use super::memory::Memory;

/// Where a connection goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    To(BackendRef),
    Refused,
    Passed,
}

impl Memory {
    /// What the kernel does with a connection to that frontend; `held` replaces the word there.
    pub fn connect(&self, frontend: &Frontend, held: Option<ServiceWord>, seed: u32) -> Verdict {
        let reader = Reader { memory: self, held };
        let index = match held {
            Some(_) => 0,
            None => match self.frontends.get(frontend) {
                Some(index) => *index,
                None => return Verdict::Passed,
            },
        };
        let choice = service(&reader, index).and_then(|service| {
            let choice = decide(&reader, &service, seed)?;
            Ok((*choice.entry, choice.slot, service.header.entry_shift() == 1))
        });
        match choice {
            Ok((entry, slot, ipv6)) => {
                let backend = self.backend(&entry, slot, ipv6, frontend);
                assert_eq!(backend.address.is_ipv6(), frontend.address.is_ipv6(), "{frontend}");
                Verdict::To(backend)
            }
            Err(Reason::NoBackends | Reason::Unreachable | Reason::AllDownRefused) => {
                Verdict::Refused
            }
            Err(Reason::AllDownPassed) => Verdict::Passed,
            Err(reason) => panic!("{frontend} met {reason:?}"),
        }
    }

    /// The backend that an entry at `slot` leads to; its index must say the same.
    pub fn backend(&self, entry: &Entry, slot: u32, ipv6: bool, of: &Frontend) -> BackendRef {
        let address: IpAddr = if ipv6 {
            let second: &Address6 = bytemuck::cast_ref(&self.arena[slot as usize + 1]);
            second.address.into()
        } else {
            entry.address.into()
        };
        let backend = BackendRef { address, port: entry.port, protocol: of.protocol };
        let BackendValue { address, port, protocol, _pad } = self.backends[entry.backend as usize];
        let named = std::net::Ipv6Addr::from(address).to_canonical();
        let is_same =
            (named, port, protocol) == (backend.address, entry.port, of.protocol.number());
        assert!(is_same, "{of} leads to {backend}, which index {} is not", entry.backend);
        backend
    }

    pub fn settings(&self, slot: u32) -> Settings {
        bytemuck::cast(self.arena[slot as usize + 1])
    }

    pub fn policy(header: &Header) -> AllDown {
        AllDown::try_from(header.flags & Header::ALL_DOWN).expect("a policy")
    }
}

/// A program that may have loaded a word before it was replaced.
struct Reader<'m> {
    memory: &'m Memory,
    held: Option<ServiceWord>,
}

impl Tables for Reader<'_> {
    fn word(&self, frontend: u32) -> Option<ServiceWord> {
        self.held.or_else(|| self.memory.word(frontend))
    }
    fn header(&self, slot: u32) -> Option<&Header> {
        self.memory.header(slot)
    }
    fn range(&self, slot: u32) -> Option<&TierRange> {
        self.memory.range(slot)
    }
    fn entry(&self, slot: u32) -> Option<&Entry> {
        self.memory.entry(slot)
    }
    fn health(&self, backend: u32) -> Option<HealthWord> {
        self.memory.health(backend)
    }
    fn node(&self, node: u16) -> Option<NodeWord> {
        self.memory.node(node)
    }
}

impl Tables for Memory {
    fn word(&self, frontend: u32) -> Option<ServiceWord> {
        self.words.get(frontend as usize).copied()
    }
    fn header(&self, slot: u32) -> Option<&Header> {
        self.arena.get(slot as usize).map(bytemuck::cast_ref)
    }
    fn range(&self, slot: u32) -> Option<&TierRange> {
        self.arena.get(slot as usize).map(bytemuck::cast_ref)
    }
    fn entry(&self, slot: u32) -> Option<&Entry> {
        self.arena.get(slot as usize).map(bytemuck::cast_ref)
    }
    fn health(&self, backend: u32) -> Option<HealthWord> {
        self.health.get(backend as usize).copied()
    }
    fn node(&self, node: u16) -> Option<NodeWord> {
        self.nodes.get(usize::from(node)).copied()
    }
}
