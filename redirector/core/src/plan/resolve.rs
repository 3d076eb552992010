//! Finds the indices of many backends at once: sorted, so that a million of them take a moment.

use std::collections::BTreeMap;

use super::changes::Change;
use crate::service::BackendRef;

/// Marks a number in `new` instead of an index; indices have 24 bits.
const NEW: u32 = 1 << 31;
/// A new backend without an index yet.
const NONE: u32 = u32::MAX;

/// The backends that some services list, each by its position among all their entries.
#[derive(Debug)]
pub(super) struct Resolved {
    positions: Vec<u32>,
    new: Vec<BackendRef>,
    indices: Vec<u32>,
}

impl Resolved {
    pub(super) fn new(changes: &[Change<'_>], known: &BTreeMap<BackendRef, u32>) -> Self {
        let count = changes.last().map_or(0, |last| last.first + last.entries().count());
        let mut listed: Vec<(BackendRef, u32)> = Vec::with_capacity(count);
        let entries = changes.iter().flat_map(Change::entries);
        listed.extend(entries.map(|entry| entry.backend).zip(0..));
        listed.sort_unstable();

        let mut resolved =
            Self { positions: vec![0; listed.len()], new: Vec::new(), indices: Vec::new() };
        for group in listed.chunk_by(|one, other| one.0 == other.0) {
            let index = known.get(&group[0].0).copied().unwrap_or_else(|| {
                resolved.new.push(group[0].0);
                NEW | (resolved.new.len() - 1) as u32
            });
            for (_, position) in group {
                resolved.positions[*position as usize] = index;
            }
        }
        resolved.indices = vec![NONE; resolved.new.len()];
        resolved
    }

    /// The index of the entry at `position`, or the number of its backend among the new ones.
    pub(super) fn index(&self, position: usize) -> Result<u32, usize> {
        let found = self.positions[position];
        if found & NEW == 0 {
            return Ok(found);
        }
        let number = (found & !NEW) as usize;
        let index = self.indices[number];
        if index == NONE { Err(number) } else { Ok(index) }
    }

    /// How many backends had no index at the begin.
    pub(super) fn new_backends(&self) -> usize {
        self.new.len()
    }

    pub(super) fn assign(&mut self, number: usize, index: u32) {
        self.indices[number] = index;
    }

    pub(super) fn unassign(&mut self, number: usize) {
        self.indices[number] = NONE;
    }

    /// Adds the new backends that have an index to those that are known.
    pub(super) fn add_to(self, known: &mut BTreeMap<BackendRef, u32>) {
        let added = self.new.into_iter().zip(self.indices).filter(|(_, index)| *index != NONE);
        let added: Vec<(BackendRef, u32)> = added.collect();
        if added.len() > known.len() / 8 {
            // Linear in both, where inserting would be a search for each.
            known.append(&mut added.into_iter().collect());
        } else {
            known.extend(added);
        }
    }
}
