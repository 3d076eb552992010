//! Who may have how much of the tables when they are too small for everybody.
//!
//! A namespace that wants no more than its even part gets all it wants; what it leaves is divided
//! evenly among the others, and so on (max-min fairness). So a namespace cannot take anything that
//! another one needs, however many Services it has. Within its share a namespace's Services come
//! in order of what they need, smallest first, then by name; one that does not fit is left to
//! kube-proxy as a whole.
//!
//! Endpoints of other clusters come after all that Services have here: they are divided in the same way
//! from what that leaves, and where there is no room the Service stays without them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::settings::Quotas;
use crate::api::ObjectRef;

/// What a Service needs of the tables, or a namespace may have of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Demand {
    /// Slots: entries, and what each table has beside them.
    pub slots: u64,
    /// Backends.
    pub backends: u64,
    /// IPv4 frontends.
    pub frontends4: u64,
    /// IPv6 frontends.
    pub frontends6: u64,
    /// Service ports.
    pub services: u64,
}

/// So much of each resource.
type Each = [u64; 5];

impl Demand {
    /// Whether no Service has to give way.
    pub fn fits(self, quotas: Quotas) -> bool {
        fits(self.each(), capacities(quotas))
    }

    /// The sum with another demand.
    pub fn with(self, other: Self) -> Self {
        self.combined(other, u64::saturating_add)
    }

    /// What is left without a demand that was added.
    pub fn without(self, other: Self) -> Self {
        self.combined(other, u64::saturating_sub)
    }

    fn combined(self, other: Self, combine: impl Fn(u64, u64) -> u64) -> Self {
        let Self { slots, backends, frontends4, frontends6, services } = self;
        Self {
            slots: combine(slots, other.slots),
            backends: combine(backends, other.backends),
            frontends4: combine(frontends4, other.frontends4),
            frontends6: combine(frontends6, other.frontends6),
            services: combine(services, other.services),
        }
    }

    fn each(self) -> Each {
        let Self { slots, backends, frontends4, frontends6, services } = self;
        [slots, backends, frontends4, frontends6, services]
    }
}

/// The Services that do not fit into the share of their namespace.
pub(super) fn exceeding<'o>(
    demands: impl Iterator<Item = (&'o ObjectRef, Demand)> + Clone,
    quotas: Quotas,
) -> BTreeSet<ObjectRef> {
    let capacities = capacities(quotas);
    let each = demands.clone().map(|(_, demand)| demand.each());
    if fits(each.fold(Each::default(), add), capacities) {
        return BTreeSet::new();
    }
    let mut namespaces: BTreeMap<&Arc<str>, Each> = BTreeMap::new();
    for (object, demand) in demands.clone() {
        let sum = namespaces.entry(&object.namespace).or_default();
        *sum = add(*sum, demand.each());
    }
    let levels: Each = std::array::from_fn(|resource| {
        level(namespaces.values().map(|wanted| wanted[resource]).collect(), capacities[resource])
    });
    let mut ordered: Vec<(&Arc<str>, Demand, &ObjectRef)> =
        demands.map(|(object, demand)| (&object.namespace, demand, object)).collect();
    ordered.sort_unstable();
    let mut exceeding = BTreeSet::new();
    let mut used: BTreeMap<&Arc<str>, Each> = BTreeMap::new();
    for (namespace, demand, object) in ordered {
        let used = used.entry(namespace).or_default();
        let after = add(*used, demand.each());
        if fits(after, levels) {
            *used = after;
        } else {
            exceeding.insert(object.clone());
        }
    }
    exceeding
}

impl Quotas {
    /// What is left when so much is used.
    pub(super) fn without(self, used: Demand) -> Self {
        let Self { frontends, services, backends, slots } = self;
        Self {
            // Of frontends and service ports endpoints need none.
            frontends,
            services,
            backends: backends.saturating_sub(used.backends),
            slots: slots.saturating_sub(used.slots),
        }
    }
}

fn capacities(quotas: Quotas) -> Each {
    let Quotas { frontends, services, backends, slots } = quotas;
    [slots, backends, frontends, frontends, services]
}

/// The most that one namespace may have: what is left divided by who is left, smallest first.
fn level(mut wanted: Vec<u64>, capacity: u64) -> u64 {
    wanted.sort_unstable();
    let mut left = capacity;
    for (served, want) in wanted.iter().enumerate() {
        let even = left / (wanted.len() - served) as u64;
        if *want > even {
            return even;
        }
        left -= want;
    }
    u64::MAX
}

fn add(one: Each, other: Each) -> Each {
    std::array::from_fn(|resource| one[resource].saturating_add(other[resource]))
}

fn fits(wanted: Each, there: Each) -> bool {
    wanted.iter().zip(there).all(|(wanted, there)| *wanted <= there)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_there_is_enough_for_all_nobody_has_a_share() {
        let demands = [demand("a", "x", 90), demand("b", "x", 10)].into();
        assert!(left_of(&demands, 100).is_empty());
    }

    #[test]
    fn who_wants_less_than_an_even_part_gets_it_and_the_rest_is_divided() {
        // 100 for three: a wants 10, so 90 are left for two.
        assert_eq!(level(vec![60, 10, 45], 100), 45);
        assert_eq!(level(vec![10, 20], 100), u64::MAX);
        assert_eq!(level(vec![1_000], 100), 100);
        assert_eq!(level(vec![50, 50, 50], 100), 33);
    }

    #[test]
    fn a_bomb_harms_neither_its_neighbours_nor_the_other_namespaces() {
        let demands = [
            demand("a", "bomb", 20_000),
            demand("a", "small", 20),
            demand("b", "x", 30),
            demand("c", "y", 30),
        ];
        assert_eq!(left_of(&demands.into(), 100), ["a/bomb"]);
    }

    #[test]
    fn many_services_of_one_namespace_take_nothing_from_another() {
        let mut demands: BTreeMap<_, _> =
            (0..1_000).map(|number| demand("a", &format!("s{number:04}"), 1)).collect();
        demands.extend([demand("b", "x", 40)]);
        let left = left_of(&demands, 100);
        assert_eq!(left.len(), 1_000 - 60);
        assert!(left.iter().all(|object| object.starts_with("a/")), "b has what it needs");
    }

    fn demand(namespace: &str, name: &str, slots: u64) -> (ObjectRef, Demand) {
        let object = ObjectRef { namespace: namespace.into(), name: name.into() };
        (object, Demand { slots, ..Demand::default() })
    }

    fn left_of(demands: &BTreeMap<ObjectRef, Demand>, slots: u64) -> Vec<String> {
        let quotas = Quotas { slots, ..Quotas::default() };
        let demands = demands.iter().map(|(object, demand)| (object, *demand));
        exceeding(demands, quotas).iter().map(ToString::to_string).collect()
    }
}
