//! Whether what was heard of an outbox is what its manifest says: only then may anything be removed.
//!
//! Services, slices and the manifest come over three watches, and under steady change they are seldom
//! at the same point at one moment. So the last states of both sides are remembered: one that was said
//! in full at some moment is proof for everything that was gone by then.

use std::collections::VecDeque;

/// How many states of each side are remembered.
const REMEMBERED: usize = 32;

/// The last states of an outbox, and the last manifests.
#[derive(Clone, Debug, Default)]
pub(in crate::import) struct Agreement {
    /// Counts the states.
    sequence: u64,
    told: VecDeque<(u64, String)>,
    /// Counts the manifests.
    index: u64,
    manifests: VecDeque<(u64, String)>,
    /// The newest manifest that was found.
    matched: u64,
}

impl Agreement {
    /// The number of the newest state, from 1.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// What is heard has that digest now.
    pub fn told(&mut self, digest: String) {
        if self.told.back().is_none_or(|(_, last)| *last != digest) {
            self.sequence += 1;
            push(&mut self.told, (self.sequence, digest));
        }
    }

    /// The manifest says that digest now.
    pub fn manifest(&mut self, digest: &str) {
        if self.manifests.back().is_none_or(|(_, last)| last != digest) {
            self.index += 1;
            push(&mut self.manifests, (self.index, digest.to_owned()));
        }
    }

    /// Forgets both sides: they are about to be said anew.
    pub fn restart(&mut self) {
        self.told.clear();
        self.manifests.clear();
        self.matched = self.index;
        // What was gone before is not covered by a state after: it gets another number.
        self.sequence += 1;
    }

    /// The newest state that a manifest says, and whether it is the newest of both.
    ///
    /// A manifest that was found and has been followed by another one proves nothing any more: what a
    /// replica that is behind says again must not remove what the newer one has brought.
    pub fn agreed(&mut self) -> Option<(u64, bool)> {
        let newest = self.manifests.back()?.0;
        let (sequence, index) = self.told.iter().rev().find_map(|(sequence, digest)| {
            let is_it = |(index, manifest): &&(u64, String)| {
                manifest == digest && (*index == newest || *index > self.matched)
            };
            Some((*sequence, self.manifests.iter().rev().find(is_it)?.0))
        })?;
        self.matched = self.matched.max(index);
        Some((sequence, index == newest && sequence == self.sequence))
    }
}

fn push(ring: &mut VecDeque<(u64, String)>, state: (u64, String)) {
    ring.push_back(state);
    if ring.len() > REMEMBERED {
        ring.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(agreement: &mut Agreement, digest: &str) {
        agreement.told(digest.to_owned());
    }

    #[test]
    fn a_state_is_proven_by_a_manifest_that_comes_later_or_came_before() {
        let mut agreement = Agreement::default();
        told(&mut agreement, "a");
        assert_eq!(agreement.agreed(), None, "no manifest yet");
        agreement.manifest("a");
        assert_eq!(agreement.agreed(), Some((1, true)));
        told(&mut agreement, "b");
        told(&mut agreement, "c");
        agreement.manifest("b");
        assert_eq!(agreement.agreed(), Some((2, false)), "what was gone by then is gone");
        agreement.manifest("c");
        agreement.manifest("d");
        assert_eq!(agreement.agreed(), Some((3, false)));
        told(&mut agreement, "d");
        assert_eq!(agreement.agreed(), Some((4, true)));
    }

    #[test]
    fn an_old_state_that_is_said_again_proves_nothing() {
        let mut agreement = Agreement::default();
        for digest in ["a", "b"] {
            told(&mut agreement, digest);
            agreement.manifest(digest);
            assert!(agreement.agreed().is_some_and(|(_, is_newest)| is_newest));
        }
        told(&mut agreement, "a");
        assert_eq!(agreement.agreed(), Some((2, false)), "the state before it, not this one");
        agreement.manifest("a");
        assert_eq!(agreement.agreed(), Some((3, true)), "the exporter went back itself");
    }

    #[test]
    fn after_a_restart_both_sides_are_said_anew() {
        let mut agreement = Agreement::default();
        told(&mut agreement, "a");
        agreement.manifest("a");
        agreement.restart();
        assert_eq!(agreement.agreed(), None);
        agreement.manifest("a");
        assert_eq!(agreement.agreed(), None, "nothing is held of it yet");
        told(&mut agreement, "a");
        assert_eq!(agreement.agreed(), Some((3, true)));
    }
}
