//! The bytes of a region: header, settings, ranges, entries; and what can be read back from them.

use std::net::IpAddr;

use bytemuck::{cast, cast_ref, cast_slice};
use redirector_common::{
    Address6, Entry, Header, MAX_TIER_ENTRIES, MAX_TIERS, RANGES, SLOTS_PER_LINE, Settings, Slot,
    TierRange,
};

use super::alias::aliases;
use crate::tables::{ServiceTables, Table};

/// Indices of a backend and its node.
pub(super) type Indices = (u32, u16);

/// Where the entries of the first tier are: IPv6 ones begin at an even slot, so that none crosses
/// a cache line.
const fn first_entry(tiers: u32, ipv6: bool) -> u32 {
    let first = RANGES + tiers;
    if ipv6 { first.next_multiple_of(2) } else { first }
}

/// Slots of a table's region.
pub(super) fn size(table: &Table, ipv6: bool) -> u32 {
    let entries: usize = table.tiers.iter().map(|tier| tier.entries.len()).sum();
    first_entry(table.tiers.len() as u32, ipv6) + ((entries as u32) << u32::from(ipv6))
}

/// The region of one family of a service; `indices` are those of its entries, in their order. The
/// epoch is 0.
pub(super) fn render(
    service: &ServiceTables,
    ipv6: bool,
    id: u32,
    indices: &[Indices],
) -> Vec<Slot> {
    let table = if ipv6 { &service.v6 } else { &service.v4 };
    let tiers = table.tiers.len() as u32;
    let mut slots = Vec::with_capacity(size(table, ipv6) as usize);
    slots.extend(head(service, ipv6, id));
    let mut start = first_entry(tiers, ipv6);
    for tier in &table.tiers {
        let length = tier.entries.len() as u32;
        slots.push(cast(TierRange { start, length, _pad: [0; 2] }));
        start += length << u32::from(ipv6);
    }
    slots.resize(first_entry(tiers, ipv6) as usize, Slot([0; 16]));

    let mut indices = indices;
    for tier in &table.tiers {
        let (mine, rest) = indices.split_at(tier.entries.len());
        indices = rest;
        // The kernel searches an earlier choice by halving.
        let mut order: Vec<u16> = (0..tier.entries.len() as u16).collect();
        order.sort_unstable_by_key(|number| mine[usize::from(*number)].0);
        let weights = order.iter().map(|number| tier.entries[usize::from(*number)].weight);
        for (number, yielded) in order.iter().zip(aliases(weights)) {
            let entry = &tier.entries[usize::from(*number)];
            let (backend, node) = mine[usize::from(*number)];
            let address = match entry.backend.address {
                IpAddr::V4(four) => four.octets(),
                IpAddr::V6(_) => [0; 4],
            };
            slots.push(cast(Entry {
                backend,
                node,
                alias: yielded.alias,
                probability: yielded.probability,
                port: entry.backend.port,
                address,
            }));
            if let IpAddr::V6(six) = entry.backend.address {
                slots.push(cast(Address6 { address: six.octets() }));
            }
        }
    }
    slots
}

/// As [`render`], of a service whose region `before` lists what its tables list.
pub(super) fn render_anew(
    service: &ServiceTables,
    ipv6: bool,
    id: u32,
    before: &[Slot],
) -> Vec<Slot> {
    let mut slots = before.to_vec();
    slots[..RANGES as usize].copy_from_slice(&head(service, ipv6, id));
    slots
}

/// Header and settings.
fn head(service: &ServiceTables, ipv6: bool, id: u32) -> [Slot; RANGES as usize] {
    let table = if ipv6 { &service.v6 } else { &service.v4 };
    let tiers = table.tiers.len();
    let mut flags = service.all_down.number();
    flags |= if ipv6 { Header::IPV6 } else { 0 };
    flags |= if service.affinity_seconds > 0 { Header::AFFINITY } else { 0 };
    flags |= if service.also_served { Header::ALSO_SERVED } else { 0 };
    flags |= if service.unreachable { Header::UNREACHABLE } else { 0 };
    let header = Header { loads: table.loads, service: id, epoch: 0, tiers: tiers as u8, flags };
    let settings = Settings::new(service.affinity_seconds, service.unresponsive, service.limits);
    [cast(header), cast(settings)]
}

/// The header of a region.
pub(super) fn header(slots: &[Slot]) -> &Header {
    cast_ref(&slots[0])
}

/// Gives a region another epoch.
pub(super) fn set_epoch(slots: &mut [Slot], epoch: u16) {
    let changed = Header { epoch, ..*header(slots) };
    slots[0] = cast(changed);
}

/// Whether two regions differ in nothing but their epoch.
pub(super) fn is_same(one: &[Slot], other: &[Slot]) -> bool {
    one.len() == other.len()
        && one[1..] == other[1..]
        && Header { epoch: 0, ..*header(one) } == Header { epoch: 0, ..*header(other) }
}

/// The entries of a region, each with its address if it is IPv6.
pub(super) fn entries(slots: &[Slot]) -> impl Iterator<Item = (&Entry, Option<&Address6>)> {
    let header = header(slots);
    let ipv6 = header.entry_shift() == 1;
    let first = first_entry(u32::from(header.tiers), ipv6) as usize;
    slots[first..].chunks_exact(1 << header.entry_shift()).map(|slots| {
        let entry: &[Entry] = cast_slice(&slots[..1]);
        (&entry[0], slots.get(1).map(cast_ref))
    })
}

/// How many slots the region at `slot` has, if it is one that [`render`] could have made.
pub(super) fn extent(arena: &[Slot], slot: u32) -> Option<u32> {
    if slot == 0 || !slot.is_multiple_of(SLOTS_PER_LINE) {
        return None;
    }
    let region = arena.get(slot as usize..)?;
    let header: &Header = cast_ref(region.first()?);
    let tiers = u32::from(header.tiers);
    if usize::from(header.tiers) > MAX_TIERS {
        return None;
    }
    let mut next = first_entry(tiers, header.entry_shift() == 1);
    for range in region.get(RANGES as usize..(RANGES + tiers) as usize)? {
        let range: &TierRange = cast_ref(range);
        if range.start != next || range.length == 0 || range.length as usize > MAX_TIER_ENTRIES {
            return None;
        }
        next += range.length << header.entry_shift();
    }
    (region.len() >= next as usize).then_some(next)
}
