//! Which tier of a service carries the load: says when it is another one.
//!
//! The first backends of a service are not news, those that end an outage are. So a service without
//! a tier is remembered if it had one; changes of the service do not touch that. A tier that gets
//! its traffic back is not back before it has all of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    failover::holds::Held,
    input::{Rerouter, Transition},
    service::ServiceRef,
    tables::{ServiceTables, Table},
};

/// What has been reported of each family, IPv4 and IPv6.
#[derive(Clone, Debug, Default)]
pub(super) struct Outages([Told; 2]);

/// What has been reported of a family and does not show in its tables.
#[derive(Clone, Debug, Default)]
struct Told {
    /// Services that carried load and do not now.
    stopped: BTreeSet<ServiceRef>,
    /// The tier to which the load of a service has moved, while an earlier one ramps.
    away: BTreeMap<ServiceRef, (u8, Arc<str>)>,
}

impl Outages {
    /// Reports, per family, that another tier carries the load. Both families at once are one
    /// event. A change from no tier to one is an event only if it ends an outage.
    ///
    /// With `wanted` it is no failover: nothing has failed, a policy or an operator wants it so.
    ///
    /// What an agent that has just started (`was_synced` is false) finds ejected had carried load
    /// for the agent before. Whether a service without backends had carried any is not known.
    pub(super) fn failed_over(
        &mut self,
        service: &ServiceRef,
        old: Option<&ServiceTables>,
        (new, held): (&ServiceTables, Option<&[Held; 2]>),
        (was_synced, wanted): (bool, Option<Rerouter>),
        happened: &mut Vec<Transition>,
    ) {
        let families: [fn(&ServiceTables) -> &Table; 2] = [|of| &of.v4, |of| &of.v6];
        for (number, (told, family)) in self.0.iter_mut().zip(families).enumerate() {
            let Told { stopped, away } = told;
            let mut frontends = new.frontends.iter();
            if !new.frontends.is_empty()
                && !frontends.any(|frontend| frontend.address.is_ipv4() == (number == 0))
            {
                // The service has no address of that family any more: no traffic is without a tier.
                stopped.remove(service);
                away.remove(service);
                continue;
            }
            let new = family(new);
            let Some(old) = old.map(family) else {
                if !was_synced && new.carrier.is_none() && !new.tiers.is_empty() {
                    stopped.insert(service.clone());
                }
                continue;
            };
            let owned = |(number, name): (u8, &str)| (number, Arc::from(name));
            let from = away.remove(service).or_else(|| old.carrying().map(owned));
            let to = arrived(new, held.map(|held| &held[number])).map(owned);
            if let Some(to) = to.clone().filter(|to| Some((to.0, &*to.1)) != new.carrying()) {
                away.insert(service.clone(), to);
            }
            let name = |tier: &Option<(u8, Arc<str>)>| tier.as_ref().map(|(_, name)| name.clone());
            let is_news = match (&from, &to) {
                (Some(_), None) => stopped.insert(service.clone()),
                (None, Some(_)) => stopped.remove(service),
                (from, to) => name(from) != name(to),
            };
            let service = service.clone();
            let event = match wanted {
                None => Transition::FailedOver { service, from, to },
                Some(by) => Transition::Rerouted { service, from, to, by },
            };
            if is_news && happened.last() != Some(&event) {
                happened.push(event);
            }
        }
    }

    /// There is no such service any more.
    pub(super) fn forget(&mut self, service: &ServiceRef) {
        for Told { stopped, away } in &mut self.0 {
            stopped.remove(service);
            away.remove(service);
        }
    }
}

/// The first tier that carries load and has all that it is due; if each still ramps, the first.
fn arrived<'t>(table: &'t Table, held: Option<&Held>) -> Option<(u8, &'t str)> {
    let carrying = table.carrying()?;
    let Some(held) = held else { return Some(carrying) };
    let first = usize::from(table.carrier?);
    let later = table.tiers.iter().enumerate().skip(first);
    let mut arrived =
        later.filter(|(at, tier)| table.share(*at) > 0 && !held.contains_key(&tier.name));
    arrived.next().map_or(Some(carrying), |(_, tier)| Some((tier.number, &*tier.name)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use redirector_common::{HealthByte, HealthWord};

    use crate::{
        input::{Input, Moment, Transition, Verb},
        service::{Members, Service, ServiceRef, TierRule},
        state::{
            State,
            tests::{backend, failure, service, success},
        },
    };

    const ONE: [&str; 1] = ["10.1.0.1"];

    #[test]
    fn the_first_backends_of_a_service_are_no_news_and_those_after_an_outage_are() {
        let mut fixture = Fixture::synced(vec![]);
        for name in ["a", "b"] {
            assert_eq!(fixture.put(name, &[]), NOTHING, "{name}");
            assert_eq!(fixture.put(name, &ONE), NOTHING, "{name} has had none yet");
            assert_eq!(fixture.put(name, &[]), [format!("{name}: cluster to none")]);
            fixture.change(name);
            assert_eq!(fixture.put(name, &ONE), [format!("{name}: none to cluster")]);
            assert_eq!(fixture.put(name, &[]), [format!("{name}: cluster to none")]);
            assert_eq!(fixture.apply(Input::Remove(ServiceRef(name.into()))), NOTHING);
            assert_eq!(fixture.put(name, &[]), NOTHING);
            assert_eq!(fixture.put(name, &ONE), NOTHING, "it is another {name}");
            fixture.apply(Input::Remove(ServiceRef(name.into())));
        }
    }

    #[test]
    fn a_family_that_is_taken_away_is_no_outage() {
        let dual = || of("a", &["10.1.0.1", "fd00::1"]);
        let mut fixture = Fixture::synced(vec![dual()]);
        assert_eq!(fixture.put("a", &ONE), ["a: cluster to none"], "its address is still there");
        assert_eq!(fixture.apply(Input::Put(dual())), ["a: none to cluster"]);
        let mut single = of("a", &ONE);
        single.frontends.truncate(1);
        assert_eq!(fixture.apply(Input::Put(single)), NOTHING);
        assert_eq!(fixture.apply(Input::Put(dual())), NOTHING, "the first ones of that family");
    }

    #[test]
    fn a_list_of_all_services_knows_who_had_backends() {
        let mut fixture = Fixture::synced(vec![of("a", &[]), of("b", &ONE)]);
        let all = |a: &[&str], b: &[&str]| Input::Replace(vec![of("a", a), of("b", b)]);
        assert_eq!(fixture.apply(all(&ONE, &[])), ["b: cluster to none"]);
        assert_eq!(fixture.apply(all(&ONE, &ONE)), ["b: none to cluster"]);
        assert_eq!(fixture.apply(all(&[], &[])), ["a: cluster to none", "b: cluster to none"]);
        assert_eq!(fixture.apply(Input::Replace(vec![of("b", &[])])), NOTHING);
        assert_eq!(fixture.apply(all(&[], &ONE)), ["b: none to cluster"]);
        assert_eq!(fixture.apply(all(&ONE, &ONE)), NOTHING, "it is another a");
    }

    #[test]
    fn each_family_has_first_backends() {
        let mut fixture = Fixture::synced(vec![of("a", &ONE)]);
        let both = ["10.1.0.1", "fd00::1"];
        assert_eq!(fixture.put("a", &both), NOTHING, "the first of IPv6");
        assert_eq!(fixture.put("a", &ONE), ["a: cluster to none"]);
        assert_eq!(fixture.put("a", &both), ["a: none to cluster"]);
    }

    #[test]
    fn a_service_whose_backends_are_all_ejected_fails_back_when_one_is_well_again() {
        let mut fixture = Fixture::synced(vec![of("a", &ONE)]);
        fixture.apply(success(ONE[0]));
        fixture.apply(failure(ONE[0]));
        assert_eq!(fixture.apply(failure(ONE[0])), ["a: cluster to none"]);
        assert_eq!(fixture.put("new", &ONE), NOTHING);
        let back = fixture.apply(success(ONE[0]));
        assert_eq!(back, ["a: none to cluster"], "the new one had carried nothing");
    }

    #[test]
    fn an_agent_that_starts_in_an_outage_says_its_end_and_takes_an_empty_service_for_a_new_one() {
        let mut fixture = Fixture { state: State::new(), seconds: 0 };
        let verdicts = [(HealthByte::Prober, 1), (HealthByte::Passive, HealthWord::CONFIRMED)];
        let ejected = verdicts.map(|(by, value)| (backend(ONE[0]), by, value)).to_vec();
        assert_eq!(fixture.apply(Input::Restore(ejected)), NOTHING);
        let found = vec![of("down", &ONE), of("empty", &[]), of("well", &["10.1.0.2"])];
        assert_eq!(fixture.apply(Input::Replace(found)), NOTHING);
        assert_eq!(fixture.apply(success(ONE[0])), ["down: none to cluster"]);
        assert_eq!(fixture.put("empty", &["10.1.0.2"]), NOTHING);
        assert_eq!(fixture.put("well", &[]), ["well: cluster to none"]);
        assert_eq!(fixture.put("well", &["10.1.0.2"]), ["well: none to cluster"]);
    }

    #[test]
    fn what_a_policy_or_an_operator_wants_is_no_failover_and_what_fails_then_is_one() {
        let with = |zones: &[&str]| {
            let mut service = of("a", &["10.1.0.1", "10.1.0.2"]);
            for (backend, zone) in service.backends.iter_mut().zip(["x", "y"]) {
                backend.locality.zone = Some(zone.into());
            }
            let tier = |zone: &&str| TierRule {
                name: (*zone).into(),
                members: Members::Named {
                    zones: vec![(*zone).into()],
                    regions: Vec::new(),
                    clusters: Vec::new(),
                },
            };
            service.policy.tiers = zones.iter().map(tier).collect();
            service
        };
        for is_list in [false, true] {
            let say = |service: Service| match is_list {
                true => Input::Replace(vec![service]),
                false => Input::Put(service),
            };
            let mut fixture = Fixture::synced(vec![with(&[])]);
            assert_eq!(fixture.apply(say(with(&["x", "y"]))), ["a: cluster to x by Policy"]);
            let turned = with(&["y", "x"]);
            assert_eq!(fixture.apply(say(turned)), ["a: x to y by Policy"], "of the same number");
            let nobody = with(&["z"]);
            assert_eq!(fixture.apply(say(nobody)), ["a: y to none by Policy"]);
            assert_eq!(fixture.apply(say(with(&["x", "y"]))), ["a: none to x by Policy"]);
            let force = Verb::Force { service: ServiceRef("a".into()), tier: "y".into() };
            assert_eq!(fixture.apply(Input::Operator(force)), ["a: x to y by Operator"]);
            let back = Verb::Failback { service: ServiceRef("a".into()) };
            assert_eq!(fixture.apply(Input::Operator(back)), ["a: y to x"]);
            fixture.apply(success(ONE[0]));
            fixture.apply(failure(ONE[0]));
            assert_eq!(fixture.apply(failure(ONE[0])), ["a: x to y"]);
        }
    }

    const NOTHING: [&str; 0] = [];

    /// A state, and a clock that advances with each input.
    struct Fixture {
        state: State,
        seconds: u64,
    }

    impl Fixture {
        fn synced(services: Vec<Service>) -> Self {
            let mut fixture = Self { state: State::new(), seconds: 0 };
            assert_eq!(fixture.apply(Input::Replace(services)), NOTHING);
            fixture
        }

        fn put(&mut self, name: &str, backends: &[&str]) -> Vec<String> {
            self.apply(Input::Put(of(name, backends)))
        }

        /// Changes the spec of a service without backends, which is no news.
        fn change(&mut self, name: &str) {
            let mut service = of(name, &[]);
            service.policy = Default::default();
            service.affinity_seconds = Some(60);
            assert_eq!(self.apply(Input::Put(service)), NOTHING);
        }

        /// Applies an input. Returns which services failed over, from where and to where.
        fn apply(&mut self, input: Input) -> Vec<String> {
            self.seconds += 1;
            let happened = self.state.apply(input, Moment(Duration::from_secs(self.seconds)));
            let name = |tier: Option<(u8, std::sync::Arc<str>)>| {
                tier.map_or_else(|| "none".to_owned(), |(_, name)| name.to_string())
            };
            let failovers = happened.into_iter().filter_map(|transition| match transition {
                Transition::FailedOver { service, from, to } => {
                    Some(format!("{}: {} to {}", service.0, name(from), name(to)))
                }
                Transition::Rerouted { service, from, to, by } => {
                    Some(format!("{}: {} to {} by {by:?}", service.0, name(from), name(to)))
                }
                _ => None,
            });
            failovers.collect()
        }
    }

    /// A service with a frontend of each family.
    fn of(name: &str, backends: &[&str]) -> Service {
        let last = name.bytes().next().expect("a name");
        let mut both = service(name, &format!("10.96.0.{last}"), backends);
        both.frontends.extend(service(name, &format!("fd96::{last}"), &[]).frontends);
        both
    }
}
