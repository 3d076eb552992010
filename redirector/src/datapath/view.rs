//! The pinned maps in the words of people: what `status` and `dump` show, agent or no agent.
//!
//! It reads what the kernel reads. A table that is replaced meanwhile is looked up again.

mod traffic;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use redirector_common::{
    Address6, AllDown, Entry, Header, HealthByte, HealthWord, MAX_TIERS, RANGES, SETTINGS,
    ServiceName, ServiceWord, Settings, Slot, TierRange,
};
use serde::Serialize;

use super::{Contents, Datapath};

/// Everything that is published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct View {
    /// The services by name.
    pub services: Vec<ServiceView>,
}

/// A service in one address family.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServiceView {
    /// Its name; as `NAMES` has it, where a longer one is not known.
    pub name: String,
    /// Its id in `NAMES`.
    pub id: u32,
    /// Slot of its header in `TABLE`.
    pub slot: u32,
    /// How often its table has been published, modulo 65,536.
    pub epoch: u16,
    /// What happens when no backend is usable.
    pub all_down: &'static str,
    /// Session affinity; 0 is none.
    pub affinity_seconds: u32,
    /// Where applications dial.
    pub frontends: Vec<FrontendView>,
    /// The tiers in order.
    pub tiers: Vec<TierView>,
}

/// A frontend.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct FrontendView {
    /// IPv4 or IPv6.
    pub address: IpAddr,
    /// Host order.
    pub port: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// Its index in `SERVICES`.
    pub index: u32,
}

/// A tier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TierView {
    /// Percent of the new connections, while any backend is usable.
    pub load: u8,
    /// Backends, by index.
    pub backends: Vec<BackendView>,
}

/// A backend of a tier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BackendView {
    /// Where it answers.
    pub address: IpAddr,
    /// Host order.
    pub port: u16,
    /// Its index in `HEALTH`.
    pub index: u32,
    /// Its index in `NODES`.
    pub node: u16,
    /// Share of its tier while all of it is usable, in 1/10,000.
    pub share: u32,
    /// Share of the service's new connections that it receives now, in 1/10,000.
    pub connections: u32,
    /// Whether it may receive new connections.
    pub usable: bool,
    /// Who objects.
    pub objections: Vec<&'static str>,
}

impl View {
    /// Reads the maps.
    ///
    /// # Errors
    ///
    /// The frontends cannot be listed.
    pub fn read(datapath: &Datapath) -> anyhow::Result<Self> {
        Ok(Self::of(&datapath.contents()?))
    }

    /// The view with names in full that `NAMES` has no room for, as far as they are known.
    #[must_use]
    pub fn naming(mut self, long_names: &BTreeSet<String>) -> Self {
        for service in &mut self.services {
            let is_it = |full: &&String| ServiceName::new(full).as_str() == service.name;
            if let Some(full) = long_names.iter().find(is_it) {
                service.name.clone_from(full);
            }
        }
        self
    }

    fn of(contents: &Contents) -> Self {
        let mut by_table: BTreeMap<(u32, u16), Vec<FrontendView>> = BTreeMap::new();
        for (frontend, index) in &contents.frontends {
            let word = contents.words.get(*index as usize).copied().unwrap_or_default();
            by_table.entry((word.slot(), word.epoch())).or_default().push(FrontendView {
                address: frontend.address,
                port: frontend.port,
                protocol: frontend.protocol.to_string(),
                index: *index,
            });
        }
        let mut services: Vec<_> = by_table
            .into_iter()
            .filter_map(|((slot, epoch), mut frontends)| {
                frontends.sort();
                service(contents, ServiceWord::new(slot, epoch), frontends)
            })
            .collect();
        services.sort_by(|a, b| (&a.name, a.slot).cmp(&(&b.name, b.slot)));
        Self { services }
    }
}

fn service(
    contents: &Contents,
    word: ServiceWord,
    frontends: Vec<FrontendView>,
) -> Option<ServiceView> {
    let header: Header = cast(contents, word.slot())?;
    if word.slot() == 0 || header.epoch != word.epoch() {
        return None;
    }
    let settings: Settings = cast(contents, word.slot() + SETTINGS)?;
    let (mut tiers, words): (Vec<_>, Vec<_>) = (0..u32::from(header.tiers).min(MAX_TIERS as u32))
        .filter_map(|tier| tier_view(contents, word.slot(), &header, tier))
        .unzip();
    let all_down = AllDown::try_from(header.flags & Header::ALL_DOWN).ok();
    traffic::spread(&mut tiers, &words, all_down);
    let name = contents.names.get(header.service as usize).map_or("?", ServiceName::as_str);
    Some(ServiceView {
        name: name.to_owned(),
        id: header.service,
        slot: word.slot(),
        epoch: word.epoch(),
        all_down: match all_down {
            Some(AllDown::Panic) => "Panic",
            Some(AllDown::Refuse) => "Refuse",
            Some(AllDown::PassThrough) => "PassThrough",
            None => "?",
        },
        affinity_seconds: settings.affinity_seconds(),
        frontends,
        tiers,
    })
}

/// A tier, and the vetoes of its backends, those of their nodes among them.
fn tier_view(
    contents: &Contents,
    slot: u32,
    header: &Header,
    tier: u32,
) -> Option<(TierView, Vec<HealthWord>)> {
    let range: TierRange = cast(contents, slot + RANGES + tier)?;
    let before = tier.checked_sub(1).map_or(0, |before| header.loads[before as usize]);
    let first = slot.checked_add(range.start)?;
    let place = |number: u32| first.checked_add(number << header.entry_shift());
    let entries: Vec<Entry> =
        (0..range.length).map(|number| cast(contents, place(number)?)).collect::<Option<_>>()?;
    let shares = traffic::of_entries(&entries);
    let (backends, words) = (0..range.length)
        .zip(entries.iter().zip(shares))
        .map(|(number, (entry, share))| {
            let address = if header.flags & Header::IPV6 == 0 {
                IpAddr::from(Ipv4Addr::from(entry.address))
            } else {
                let address: Address6 = cast(contents, place(number)? + 1)?;
                IpAddr::from(Ipv6Addr::from(address.address))
            };
            let node = contents.nodes.get(usize::from(entry.node))?;
            let health = contents.health.get(entry.backend as usize)?.on(*node);
            let view = BackendView {
                address,
                port: entry.port,
                index: entry.backend,
                node: entry.node,
                share,
                connections: 0,
                usable: health.is_usable(),
                objections: objections(health),
            };
            Some((view, health))
        })
        .collect::<Option<Vec<_>>>()?
        .into_iter()
        .unzip();
    let load = header.loads[tier as usize].saturating_sub(before);
    Some((TierView { load, backends }, words))
}

fn objections(health: HealthWord) -> Vec<&'static str> {
    let objecting = HealthByte::ALL.into_iter().filter(|byte| health.byte(*byte) != 0);
    objecting.map(HealthByte::name).collect()
}

fn cast<T: bytemuck::Pod>(contents: &Contents, slot: u32) -> Option<T> {
    let slot: &Slot = contents.arena.get(slot as usize)?;
    Some(bytemuck::cast(*slot))
}
