//! The pinned maps in the words of people: what `status` and `dump` show, agent or no agent.
//!
//! It reads what the kernel reads. A table that is replaced meanwhile is looked up again.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use redirector_common::{
    Address6, AllDown, Entry, Header, HealthByte, HealthWord, MAX_TIERS, NodeWord, RANGES,
    SETTINGS, ServiceName, ServiceWord, Settings, Slot, TierRange,
};
use serde::Serialize;

use super::{Contents, Datapath};

/// Everything that is published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct View {
    /// By name.
    pub services: Vec<ServiceView>,
}

/// A service in one address family.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServiceView {
    /// Its name; cut after 64 bytes.
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
    /// In order.
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

    fn of(contents: &Contents) -> Self {
        let mut by_table: BTreeMap<ServiceWordKey, Vec<FrontendView>> = BTreeMap::new();
        for (frontend, index) in &contents.frontends {
            let word = contents.words.get(*index as usize).copied().unwrap_or_default();
            by_table.entry(ServiceWordKey(word.slot(), word.epoch())).or_default().push(
                FrontendView {
                    address: frontend.address,
                    port: frontend.port,
                    protocol: frontend.protocol.to_string(),
                    index: *index,
                },
            );
        }
        let mut services: Vec<_> = by_table
            .into_iter()
            .filter_map(|(ServiceWordKey(slot, epoch), mut frontends)| {
                frontends.sort();
                service(contents, ServiceWord::new(slot, epoch), frontends)
            })
            .collect();
        services.sort_by(|a, b| (&a.name, a.slot).cmp(&(&b.name, b.slot)));
        Self { services }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct ServiceWordKey(u32, u16);

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
    let tiers = (0..u32::from(header.tiers).min(MAX_TIERS as u32))
        .filter_map(|tier| tier_view(contents, word.slot(), &header, tier))
        .collect();
    let name = contents.names.get(header.service as usize).map_or("?", ServiceName::as_str);
    Some(ServiceView {
        name: name.to_owned(),
        id: header.service,
        slot: word.slot(),
        epoch: word.epoch(),
        all_down: match AllDown::try_from(header.flags & Header::ALL_DOWN) {
            Ok(AllDown::Panic) => "Panic",
            Ok(AllDown::Refuse) => "Refuse",
            Ok(AllDown::PassThrough) => "PassThrough",
            Err(_) => "?",
        },
        affinity_seconds: settings.affinity_seconds,
        frontends,
        tiers,
    })
}

fn tier_view(contents: &Contents, slot: u32, header: &Header, tier: u32) -> Option<TierView> {
    let range: TierRange = cast(contents, slot + RANGES + tier)?;
    let before = tier.checked_sub(1).map_or(0, |before| header.loads[before as usize]);
    let first = slot.checked_add(range.start)?;
    let place = |number: u32| first.checked_add(number << header.entry_shift());
    let entries: Vec<Entry> =
        (0..range.length).map(|number| cast(contents, place(number)?)).collect::<Option<_>>()?;
    let shares = shares(&entries);
    let backends = (0..range.length)
        .zip(entries.iter().zip(shares))
        .map(|(number, (entry, share))| {
            let address = if header.flags & Header::IPV6 == 0 {
                IpAddr::from(Ipv4Addr::from(entry.address))
            } else {
                let address: Address6 = cast(contents, place(number)? + 1)?;
                IpAddr::from(Ipv6Addr::from(address.address))
            };
            let health = contents.health.get(entry.backend as usize)?;
            let node = contents.nodes.get(usize::from(entry.node))?;
            Some(BackendView {
                address,
                port: entry.port,
                index: entry.backend,
                node: entry.node,
                share,
                usable: health.is_usable() && node.is_usable(),
                objections: objections(*health, *node),
            })
        })
        .collect::<Option<_>>()?;
    Some(TierView { load: header.loads[tier as usize].saturating_sub(before), backends })
}

/// What the alias table gives each entry, in 1/10,000.
fn shares(entries: &[Entry]) -> Vec<u32> {
    const WHOLE: u64 = 1 << 16;
    let mut parts = vec![0_u64; entries.len()];
    for (number, entry) in entries.iter().enumerate() {
        let kept = u64::from(entry.probability) + 1;
        parts[number] += kept;
        if let Some(part) = parts.get_mut(usize::from(entry.alias)) {
            *part += WHOLE - kept;
        }
    }
    let whole = WHOLE * entries.len().max(1) as u64;
    parts.into_iter().map(|part| ((part * 10_000 + whole / 2) / whole) as u32).collect()
}

fn objections(health: HealthWord, node: NodeWord) -> Vec<&'static str> {
    let mut names: Vec<_> = HealthByte::ALL
        .into_iter()
        .filter(|byte| health.byte(*byte) != 0)
        .map(HealthByte::name)
        .collect();
    if !node.is_usable() {
        names.push("node");
    }
    names
}

fn cast<T: bytemuck::Pod>(contents: &Contents, slot: u32) -> Option<T> {
    let slot: &Slot = contents.arena.get(slot as usize)?;
    Some(bytemuck::cast(*slot))
}
