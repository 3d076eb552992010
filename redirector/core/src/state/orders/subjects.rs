//! What operators can name, and how much of the state that is.

use std::collections::BTreeSet;

use super::{Extent, is_meant};
use crate::{
    identity::ZoneRef,
    input::{Drained, Verb},
    service::{Backend, BackendRef},
    state::State,
};

impl State {
    /// How much `what` is: nothing where no service lists a backend there.
    #[must_use]
    pub fn extent(&self, what: &Drained) -> Extent {
        let what = what.clone().seen_from(self.node().cluster.as_ref());
        let backends: BTreeSet<BackendRef> =
            self.listed_in(&what).map(|listed| listed.backend).collect();
        let backends: Vec<BackendRef> = backends.into_iter().collect();
        let services = self.users_with_dependants(&backends);
        let drained = backends.iter().filter(|backend| self.is_drained(backend)).count();
        Extent { backends: backends.len(), services: services.len(), drained }
    }

    /// Everything of the same kind that there is.
    #[must_use]
    pub fn like(&self, what: &Drained) -> BTreeSet<Drained> {
        let own = self.node().cluster.as_ref();
        let same = |listed: &Backend| {
            let place = &listed.locality;
            Some(match what {
                Drained::Backend(_) => Drained::Backend(listed.backend),
                Drained::Node(_) => Drained::Node(place.node_ref(own)?),
                Drained::Zone(_) => Drained::Zone(ZoneRef {
                    cluster: place.other_cluster(own).cloned(),
                    name: place.zone.clone()?,
                }),
                Drained::Cluster(_) => Drained::Cluster(place.cluster.as_ref().or(own)?.clone()),
            })
        };
        self.listed().filter_map(same).collect()
    }

    /// Whether that order is in force: a drain of it, or a force.
    #[must_use]
    pub fn is_ordered(&self, verb: &Verb) -> bool {
        self.orders().contains(&self.as_seen(verb.clone()))
    }

    /// An order in the form that it has here.
    #[must_use]
    pub fn as_seen(&self, verb: Verb) -> Verb {
        verb.seen_from(self.node().cluster.as_ref())
    }

    /// Listings of backends where `what` is, in the form that it has here.
    pub(in crate::state) fn listed_in(&self, what: &Drained) -> impl Iterator<Item = &Backend> {
        self.listed().filter(move |listed| is_meant(what, listed, self.node()))
    }

    fn listed(&self) -> impl Iterator<Item = &Backend> {
        self.services().flat_map(|service| &service.backends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        input::{Input, Moment},
        service::Locality,
        state::tests::service,
    };

    #[test]
    fn what_is_named_has_an_extent_and_what_is_like_it_is_listed() {
        let mut state = State::new();
        state
            .apply(Input::Node(Locality { cluster: Some("home".into()), ..place("n1", "a") }), NOW);
        let mut one = service("shop/one", "10.96.0.1", &["10.1.0.1", "10.1.0.2"]);
        one.backends[0].locality = place("n1", "a");
        one.backends[1].locality = Locality { cluster: Some("west".into()), ..place("n1", "b") };
        let mut other = service("shop/other", "10.96.0.2", &["10.1.0.1"]);
        other.backends[0].locality = place("n1", "a");
        state.apply(Input::Replace(vec![one, other]), NOW);

        let zone = |name: &str| Drained::Zone(name.into());
        let extent = |backends, services| Extent { backends, services, drained: 0 };
        assert_eq!(state.extent(&zone("a")), extent(1, 2));
        assert_eq!(state.extent(&zone("home/a")), extent(1, 2));
        assert_eq!(state.extent(&zone("west/b")), extent(1, 1));
        assert_eq!(state.extent(&zone("b")), extent(0, 0), "it is another cluster's");
        assert_eq!(state.extent(&zone("nosuch")), extent(0, 0));
        assert_eq!(state.like(&zone("nosuch")), [zone("a"), zone("west/b")].into());
        let cluster = |name: &str| Drained::Cluster(name.into());
        assert_eq!(state.like(&cluster("nosuch")), [cluster("home"), cluster("west")].into());

        assert!(!state.is_ordered(&Verb::Drain(zone("a"))));
        state.apply(Input::Operator(Verb::Drain(zone("home/a"))), NOW);
        assert!(state.is_ordered(&Verb::Drain(zone("a"))));
        assert_eq!(state.extent(&zone("a")), Extent { drained: 1, ..extent(1, 2) });
    }

    const NOW: Moment = Moment(std::time::Duration::ZERO);

    fn place(node: &str, zone: &str) -> Locality {
        Locality { node: Some(node.into()), zone: Some(zone.into()), ..Locality::default() }
    }
}
