//! What a change of some objects means for which Services.

use std::{collections::BTreeSet, net::IpAddr};

use super::{
    Index,
    adoption::Adoption,
    quota::{Demand, exceeding},
    set,
};
use crate::api::{Node, ObjectRef};

/// What a change of some Services may mean for others.
#[derive(Default)]
struct Changes {
    /// Services to be answered for again.
    affected: BTreeSet<ObjectRef>,
    /// Addresses whose claims or endpoints have changed.
    addresses: BTreeSet<IpAddr>,
    /// Addresses that no Service claimed before.
    fresh: BTreeSet<IpAddr>,
}

impl Index {
    /// Looks again at what was touched, and says which Services are to be answered for again.
    pub(super) fn reconcile(&mut self, node: &Node) -> BTreeSet<ObjectRef> {
        let mut work = std::mem::take(&mut self.touched);
        if std::mem::take(&mut self.are_all_touched) {
            work.extend(self.cache.services.keys().cloned());
            work.extend(self.cache.with_slices().cloned());
            work.extend(self.adoptions.keys().cloned());
        }
        let mut changes = Changes::default();
        while let Some(object) = work.pop_first() {
            work.extend(self.adopt(&object, node, &mut changes));
            changes.affected.extend(self.referrers.get(&object).into_iter().flatten().cloned());
            changes.affected.insert(object);
        }
        self.link_endpoints(&mut changes);
        self.share_out(&mut changes);
        let Changes { mut affected, addresses, .. } = changes;
        for address in addresses {
            affected.extend(self.claims.claimants_of(address).cloned());
            affected.extend(self.with_endpoints_at(&address));
        }
        affected
    }

    /// Decides anew about one Service. Returns those that its policy names now and did not before,
    /// or the other way round.
    fn adopt(&mut self, object: &ObjectRef, node: &Node, changes: &mut Changes) -> Vec<ObjectRef> {
        let (now, notice) = self.adoption(object, node);
        set(&mut self.notices, object, notice.into_iter().collect());
        let before = self.adoptions.remove(object);
        if before == now {
            self.adoptions.extend(now.map(|now| (object.clone(), now)));
            return Vec::new();
        }
        let of = |adoption: &Option<Adoption>| -> Demand {
            adoption.as_ref().map(|it| it.demand.with(it.remote)).unwrap_or_default()
        };
        self.demanded = self.demanded.without(of(&before)).with(of(&now));
        let parts = |adoption: Adoption| (adoption.claims, adoption.references, adoption.exports);
        let (old, old_named, old_exports) = before.map(parts).unwrap_or_default();
        let (new, new_named, new_exports) = now.clone().map(parts).unwrap_or_default();
        for (frontend, claim) in old.iter().filter(|claim| new.binary_search(claim).is_err()) {
            // Before the last claim of an address takes what is known of it along.
            changes.affected.extend(self.with_endpoints_at(&frontend.address));
            self.claims.remove(frontend, claim);
            changes.addresses.insert(frontend.address);
        }
        for (frontend, claim) in new.iter().filter(|claim| old.binary_search(claim).is_err()) {
            if self.claims.add(*frontend, claim.clone()) {
                changes.fresh.insert(frontend.address);
            }
            changes.addresses.insert(frontend.address);
        }
        self.adoptions.extend(now.map(|now| (object.clone(), now)));
        for gone in old_named.difference(&new_named) {
            if let Some(by) = self.referrers.get_mut(gone) {
                by.remove(object);
                if by.is_empty() {
                    self.referrers.remove(gone);
                }
            }
        }
        for named in new_named.difference(&old_named) {
            self.referrers.entry(named.clone()).or_default().insert(object.clone());
        }
        let named = old_named.symmetric_difference(&new_named);
        named.chain(old_exports.symmetric_difference(&new_exports)).cloned().collect()
    }

    /// The Services with an endpoint at an address that is claimed, and those for which they stand.
    fn with_endpoints_at(&self, address: &IpAddr) -> impl Iterator<Item = ObjectRef> {
        let there = self.claims.endpoints_at(address);
        there.flat_map(|object| [object.clone()].into_iter().chain(self.cache.original_of(object)))
    }

    /// Finds the endpoints at addresses that are claimed: those of the Services that are affected,
    /// and those of all Services at addresses that none claimed before.
    fn link_endpoints(&mut self, changes: &mut Changes) {
        let Changes { affected, addresses, fresh } = changes;
        for object in affected.iter() {
            for address in self.linked.remove(object).into_iter().flatten() {
                self.claims.unlink(address, object);
                addresses.insert(address);
            }
        }
        // All Services, which are many, are looked at only if an address is claimed anew.
        let some = affected.iter().take_while(|_| fresh.is_empty());
        let all = self.cache.with_slices().take_while(|_| !fresh.is_empty());
        for object in some.chain(all) {
            let is_affected = affected.contains(object);
            for endpoint in self.cache.slices(object).flat_map(|slice| &slice.endpoints) {
                let address = endpoint.address;
                if (is_affected || fresh.contains(&address)) && self.claims.link(address, object) {
                    self.linked.entry(object.clone()).or_default().insert(address);
                    addresses.insert(address);
                }
            }
        }
    }

    /// Finds who is over its share now, and who is no more. While there is enough for all, that is
    /// not a question for each of them.
    fn share_out(&mut self, changes: &mut Changes) {
        debug_assert_eq!(
            self.demanded,
            self.adoptions
                .values()
                .fold(Demand::default(), |sum, one| sum.with(one.demand).with(one.remote)),
            "what has changed was added up"
        );
        let (left, crowded) =
            if self.demanded.with(self.demanded_by_tiers()).fits(self.settings.quotas) {
                (BTreeSet::new(), BTreeSet::new())
            } else {
                self.shares()
            };
        let changed = crowded.symmetric_difference(&self.crowded);
        changes.affected.extend(changed.cloned());
        self.crowded = crowded;
        for object in left.symmetric_difference(&self.left) {
            let claims = self.adoptions.get(object).map(|adoption| &adoption.claims);
            let addresses = claims.into_iter().flatten().map(|(frontend, _)| frontend.address);
            changes.addresses.extend(addresses);
            changes.affected.insert(object.clone());
        }
        self.left = left;
    }

    /// The Services that are over their share, and those whose endpoints of other clusters are: these
    /// get what the Services' own leave, divided in the same way.
    fn shares(&self) -> (BTreeSet<ObjectRef>, BTreeSet<ObjectRef>) {
        let quotas = self.settings.quotas;
        let own =
            self.adoptions.iter().map(|(object, it)| (object, self.demand(it, |it| it.demand)));
        let left = exceeding(own.clone(), quotas);
        let kept = own.filter(|(object, _)| !left.contains(*object));
        let used = kept.fold(Demand::default(), |sum, (_, demand)| sum.with(demand));
        let remote = self.adoptions.iter().filter(|(object, _)| !left.contains(*object));
        let remote = remote.map(|(object, it)| (object, self.demand(it, |it| it.remote)));
        let crowded = exceeding(
            remote.filter(|(_, demand)| *demand != Demand::default()),
            quotas.without(used),
        );
        (left, crowded)
    }

    /// What all need for tiers that are other Services: what [`demand`](Self::demand) adds.
    fn demanded_by_tiers(&self) -> Demand {
        let mut slots = 0_u64;
        for (named, by) in &self.referrers {
            let Some(named) = self.adoptions.get(named) else { continue };
            let by = by.iter().filter_map(|by| self.adoptions.get(by));
            for by in by {
                let more = named.demand.slots.saturating_add(named.remote.slots);
                let more = more.saturating_mul(by.demand.services);
                slots = slots.saturating_add(more);
            }
        }
        Demand { slots, ..Demand::default() }
    }

    /// What a Service needs of a kind, with the tiers that are other Services: each of its ports could
    /// have all that they need.
    fn demand(&self, adoption: &Adoption, of: fn(&Adoption) -> Demand) -> Demand {
        let named = adoption.references.iter().filter_map(|named| self.adoptions.get(named));
        let slots = named.map(|named| of(named).slots).fold(0, u64::saturating_add);
        let more = slots.saturating_mul(adoption.demand.services);
        let demand = of(adoption);
        Demand { slots: demand.slots.saturating_add(more), ..demand }
    }
}
