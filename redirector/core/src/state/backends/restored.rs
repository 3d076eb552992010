//! What an earlier agent left in the kernel's maps, and what becomes of backends when the services
//! that list them change.

use std::collections::BTreeMap;

use redirector_common::{HealthByte, HealthWord};

use super::{Backends, faults::Passive};
use crate::{
    health::{Health, Sight},
    input::Command,
    service::BackendRef,
    state::{State, vetoes::value},
};

/// Bytes that an earlier agent's maps may say something by. The plan sees to discovery, and
/// operators say themselves what they want.
const RESTORED: [HealthByte; 3] = [HealthByte::Prober, HealthByte::Passive, HealthByte::Listener];

impl Backends {
    /// What an earlier agent left of a backend that this one has not taken over yet.
    pub(in crate::state) fn restored_word(&self, backend: &BackendRef) -> HealthWord {
        self.restored.get(backend).copied().unwrap_or_default()
    }

    /// What was found is a verdict of the earlier agent in these words.
    pub(super) fn restored_verdicts(&self) -> BTreeMap<BackendRef, HealthWord> {
        let found = self.restored.iter().map(|(backend, found)| (*backend, verdicts(*found)));
        found.filter(|(_, word)| !word.is_usable()).collect()
    }
}

impl State {
    /// Takes over what an earlier agent, or the kernel while this one was not listening, has done.
    /// For a backend that no service lists yet it is remembered until the services are known.
    pub(in crate::state) fn restore(&mut self, found: &[(BackendRef, HealthByte, u8)]) {
        let said = self.happened.len();
        for (backend, by, found) in found {
            let is_kept = self.backends.is_listed(backend) || !self.is_synced();
            if !RESTORED.contains(by) || !is_kept {
                continue;
            }
            let word = self.backends.restored.entry(*backend).or_default();
            *word = word.with(*by, word.byte(*by) | found);
            if verdicts(*word).byte(*by) == 0 || self.has_veto(backend, *by) {
                continue;
            }
            self.set_veto(*backend, *by, "found in the maps".into());
            self.recompile_users_of(&[*backend]);
        }
        let found: Vec<BackendRef> = self.backends.restored.keys().copied().collect();
        self.reevaluate(found);
        // It is news of an earlier agent.
        self.happened.truncate(said);
    }

    /// The kernel has taken back what was found in its maps.
    pub(super) fn unrestore(&mut self, backend: &BackendRef, byte: HealthByte) {
        if let Some(word) = self.backends.restored.get_mut(backend) {
            *word = word.with(byte, 0);
            if word.is_usable() {
                self.backends.restored.remove(backend);
            }
            self.clear_veto(backend, byte);
        }
    }

    /// Brings what is known of these backends in line with the services that list them now: a
    /// backend without one is forgotten, and one without a probe is not held back by its probes.
    pub(in crate::state) fn reevaluate(&mut self, backends: impl IntoIterator<Item = BackendRef>) {
        for backend in backends {
            let Some(state) = self.backends.get(&backend) else {
                self.nodes.remove(&backend);
                if self.is_synced() || !self.backends.restored.contains_key(&backend) {
                    self.forget(&backend);
                }
                continue;
            };
            let is_ejected = state.health.is_ejected();
            if !self.backends.restored.contains_key(&backend) && !self.is_ejected(&backend) {
                continue;
            }
            let is_probed = self.probe(&backend).is_some();
            self.take_over(&backend, is_probed);
            self.unsilence_moved(&backend);
            if is_ejected && !is_probed {
                if let Some(health) = self.backends.health(&backend) {
                    health.forget_failures();
                }
                self.readmit(&backend, HealthByte::Prober);
            }
        }
        self.reconcile_nodes();
    }

    /// An earlier agent's vetoes become this one's, once it is known who lists the backend.
    fn take_over(&mut self, backend: &BackendRef, is_probed: bool) {
        let Some(found) = self.backends.restored.remove(backend) else { return };
        let is_unresponsive = found.byte(HealthByte::Passive) & HealthWord::UNRESPONSIVE != 0;
        let (now, limits, verdicts) = (self.now, self.limits(backend), verdicts(found));
        if verdicts.byte(HealthByte::Passive) != 0 {
            self.backends.change(backend, |faults| {
                faults.ejections = faults.ejections.max(1);
                faults
                    .passive
                    .get_or_insert_with(|| Passive::since_restart(&limits, now, is_unresponsive));
            });
            self.backends.ask(backend);
        }
        if verdicts.byte(HealthByte::Listener) != 0 {
            self.backends.change(backend, |faults| faults.is_unheard = true);
            self.backends.ask(backend);
        }
        // The maps do not say which client saw it.
        let seen = if is_unresponsive {
            Sight::Unresponsive { client: None }
        } else {
            Sight::Connects { refused: true, client: None }
        };
        for sight in [seen, Sight::ListenerGone] {
            let by = sight.byte();
            if found.byte(by) != 0 && verdicts.byte(by) == 0 {
                self.suspects(backend, sight, true);
            }
        }
        if found.byte(HealthByte::Prober) == 0 {
            return;
        }
        if self.is_left_to_cluster(backend) {
            return;
        }
        if is_probed {
            if let Some(health) = self.backends.health(backend) {
                *health = Health::EJECTED;
            }
        } else if self.is_synced() {
            self.readmit(backend, HealthByte::Prober);
        } else {
            // A service that probes it may still come.
            let by_prober = HealthWord::new(0).with(HealthByte::Prober, 1);
            self.backends.restored.insert(*backend, by_prober);
        }
    }

    /// No service lists it any more: if it comes back it starts anew, in the kernel too.
    fn forget(&mut self, backend: &BackendRef) {
        let restored = self.backends.restored.remove(backend).unwrap_or_default();
        let suspected = self.backends.suspected.remove(backend);
        let held = suspected.unwrap_or(restored);
        self.clear_veto(backend, HealthByte::Prober);
        for byte in [HealthByte::Passive, HealthByte::Listener] {
            if self.clear_veto(backend, byte) || held.byte(byte) != 0 {
                self.readmit_in_kernel(backend, byte);
            }
        }
        if suspected.is_some() {
            self.commands.push(Command::Answered(*backend));
        }
    }
}

/// The bytes that are verdicts of an agent; what else the kernel has written is a suspicion.
fn verdicts(found: HealthWord) -> HealthWord {
    RESTORED.into_iter().fold(HealthWord::new(0), |word, by| {
        let byte = found.byte(by);
        let is_verdict = by == HealthByte::Prober || byte & HealthWord::CONFIRMED != 0;
        word.with(by, if is_verdict && byte != 0 { value(by) } else { 0 })
    })
}
