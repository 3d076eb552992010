//! What only clients can tell: that a backend does not answer, where its probe asks no request, or how it
//! is where no probe has ever reached it.
//!
//! One client's word moves only that client. Several are believed for the time of a first ejection,
//! however often, in these bounds:
//!
//! 1. Of no service more than half of the backends of a family are out on the word of clients alone, so
//!    that they cannot take a service down.
//! 2. That requests are not answered is withdrawn of all backends of a service once more than those, or
//!    one in a later tier than one that is out as a whole, are said to be silent: the next tier does not
//!    answer either, so they are slow, or their clients impatient. For the time of a longest ejection
//!    the kernel takes no client's word for that again.

use std::collections::BTreeSet;

use redirector_common::HealthByte;

use super::faults::{Question, first_ejection};
use crate::{
    health::Sight,
    service::{BackendRef, ProbeKind, Service},
    state::State,
};

impl State {
    /// Whether a probe of a backend asks what only a process that answers can answer. That a connection is
    /// accepted proves nothing: the kernel does that.
    pub(super) fn asks_for_answers(&self, backend: &BackendRef) -> bool {
        self.probe(backend).is_some_and(|probe| probe.kind != ProbeKind::Tcp)
    }

    /// No probe can tell whether what clients saw is so.
    pub(super) fn hear(&mut self, backend: &BackendRef, sight: Sight) {
        let byte = sight.byte();
        let is_silence = matches!(sight, Sight::Unresponsive { .. });
        if byte == HealthByte::Listener
            || self.has_room_for_hearsay(backend)
                && !(is_silence && self.is_tier_before_silent(backend))
        {
            self.believe(backend, sight);
        } else if is_silence {
            self.withdraw_silence(backend);
        } else {
            self.dismiss(backend, byte);
            self.vouch(backend, first_ejection(&self.limits(backend)), false);
        }
    }

    /// Nothing but what was seen can tell: the backend is out for a while.
    fn believe(&mut self, backend: &BackendRef, sight: Sight) {
        let byte = sight.byte();
        self.backends.change(backend, |faults| {
            if let Some(question) = faults.questions.get_mut(&byte) {
                question.is_believed = true;
            }
        });
        self.eject_in_kernel(backend, byte);
        let probes = match sight {
            Sight::Unresponsive { .. } => "its probes ask no request",
            Sight::Connects { .. } | Sight::ListenerGone => "no probe has ever reached it",
        };
        let why = format!("{}; {probes}", sight.why());
        self.eject(backend, byte, why.into());
    }

    /// Whether one more backend may be out on the word of clients: then at least half of the
    /// backends of its family are not, of each service that lists it, and one is usable.
    fn has_room_for_hearsay(&self, backend: &BackendRef) -> bool {
        let has_room = |service: &Service| {
            let (mut all, mut out, mut usable) = (0, 1, false);
            for other in family(service, backend) {
                all += 1;
                if other != backend {
                    out += u32::from(self.believed(other).is_some());
                    usable |= self.word_of(other).is_usable();
                }
            }
            usable && out <= all / 2
        };
        self.users(backend).all(has_room)
    }

    /// Whether all that an earlier tier of a service has is out because it does not answer.
    fn is_tier_before_silent(&self, backend: &BackendRef) -> bool {
        let is_silent = |other: &BackendRef| self.is_believed_silent(other);
        self.users(backend).any(|service| {
            let Some(tables) = self.tables.services.get(&service.name) else { return false };
            let table = if backend.address.is_ipv6() { &tables.v6 } else { &tables.v4 };
            let mut tiers = table.tiers.iter();
            let before = tiers
                .by_ref()
                .take_while(|tier| !tier.entries.iter().any(|entry| entry.backend == *backend));
            before.into_iter().any(|tier| {
                !tier.entries.is_empty()
                    && tier.entries.iter().all(|entry| is_silent(&entry.backend))
            })
        })
    }

    /// Those who do not answer are slow, and as they are they serve better than nothing.
    fn withdraw_silence(&mut self, backend: &BackendRef) {
        let users: Vec<&Service> = self.users(backend).collect();
        let others = users.iter().flat_map(|service| family(service, backend));
        let silent = others.filter(|other| self.is_believed_silent(other)).copied();
        let silent: BTreeSet<BackendRef> = silent.chain([*backend]).collect();
        let listed = users.iter().flat_map(|service| family(service, backend)).copied();
        let listed: BTreeSet<BackendRef> = listed.collect();
        for backend in silent {
            self.dismiss(&backend, HealthByte::Passive);
        }
        for backend in listed {
            let longest = self.limits(&backend).max_ejection_ms;
            self.vouch(&backend, std::time::Duration::from_millis(longest.into()), true);
        }
    }

    /// What is believed of clients about a backend, without a probe.
    fn believed(&self, backend: &BackendRef) -> Option<&Question> {
        let question = self.backends.faults(backend)?.questions.get(&HealthByte::Passive)?;
        question.is_believed.then_some(question)
    }

    fn is_believed_silent(&self, backend: &BackendRef) -> bool {
        let is_silence =
            |question: &Question| matches!(question.suspicion.sight, Sight::Unresponsive { .. });
        self.believed(backend).is_some_and(is_silence)
    }
}

/// The backends of a service that are of the same family as this one.
fn family<'s>(
    service: &'s Service,
    backend: &BackendRef,
) -> impl Iterator<Item = &'s BackendRef> + use<'s> {
    let is_ipv6 = backend.address.is_ipv6();
    let listed = service.backends.iter().map(|listed| &listed.backend);
    listed.filter(move |listed| listed.address.is_ipv6() == is_ipv6)
}
