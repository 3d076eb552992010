//! Judges the clusters: their phases, and which are refused.

use std::{collections::BTreeMap, sync::Arc};

use redirector_core::Moment;
use redirector_policy::{Claim, Reach, overlaps};

use super::{Importer, heard::State, outbox::Touched, remote::Refusal};

impl Importer {
    /// Judges every cluster as of now.
    pub(super) fn judge(&mut self, now: Moment) {
        let mut touched = Touched::new();
        self.own.trust(&mut touched);
        let own = Arc::clone(&self.settings.cluster);
        self.touch(&own, touched);
        let mut all_touched = Vec::new();
        for (name, remote) in &mut self.remotes {
            let mut touched = Touched::new();
            let was_partly_heard = remote.is_partly_heard;
            let (before, is_relist) = remote.judge(now, &self.timing, &mut touched);
            if remote.is_partly_heard != was_partly_heard {
                self.stale.insert(Arc::clone(name));
            }
            if let Some(before) = before {
                let (from, to) = (state_name(before), state_name(remote.state()));
                if from != to {
                    tracing::info!(cluster = %name, from, to, "another phase");
                }
                self.stale.insert(Arc::clone(name));
            }
            if is_relist {
                self.relists.insert(Arc::clone(name));
                self.stale.insert(Arc::clone(name));
            }
            if !touched.is_empty() {
                all_touched.push((Arc::clone(name), touched));
            }
        }
        for (name, touched) in all_touched {
            self.touch(&name, touched);
        }
    }

    /// Refuses clusters that are another one, or whose addresses are in use.
    pub(super) fn refuse(&mut self) {
        let mut claims = Vec::new();
        let mut by_uid: BTreeMap<Arc<str>, (i64, Arc<str>)> = BTreeMap::new();
        for (name, remote) in &self.remotes {
            let Some(spec) = remote.spec.as_ref().filter(|_| !remote.object.is_leaving) else {
                continue;
            };
            let created = remote.object.created;
            if spec.spec().reach == Reach::Pod {
                claims.push(Claim { name, created, cidrs: spec.cidrs() });
            }
            if let Some(uid) = &remote.uid {
                let first = by_uid.entry(Arc::clone(uid)).or_insert((created, Arc::clone(name)));
                *first = (created, Arc::clone(name)).min(first.clone());
            }
        }
        let mut overlapping = overlaps(&claims, &self.taken);
        let mut changed = Vec::new();
        for (name, remote) in &mut self.remotes {
            let first = remote.uid.as_ref().and_then(|uid| by_uid.get(uid));
            let same = first.filter(|(_, first)| first != name).map(|(_, first)| Arc::clone(first));
            let is_own = remote.is_own
                || *name == self.settings.cluster
                || remote.uid.is_some() && remote.uid == self.settings.uid;
            let refusal = if is_own {
                Some(Refusal::Own)
            } else {
                let overlap = overlapping.remove(name).map(Refusal::Overlap);
                same.map(Refusal::Same).or(overlap)
            };
            if remote.refusal != refusal {
                if let Some(why) = &refusal {
                    tracing::warn!(cluster = %name, %why, "a cluster is refused");
                }
                remote.refusal = refusal;
                changed.push(Arc::clone(name));
            }
        }
        for name in changed {
            self.dirty_cluster(&name);
            self.stale.insert(name);
        }
    }
}

fn state_name(state: State) -> &'static str {
    match state {
        State::Joining => "Joining",
        State::Live => "Live",
        State::Silent { .. } => "Silent",
        State::Lost => "Lost",
    }
}
