//! Every backend that a service lists: who uses it, and how it is.
//!
//! Users are numbers: a million counted pointers to scattered names would be most of the time that
//! a large list takes.

mod faults;
mod hearsay;
mod passive;
mod probed;
mod resets;
mod resting;
mod restored;
mod suspicion;
mod verdicts;

use std::collections::{BTreeMap, BTreeSet};

use redirector_common::HealthWord;

use self::faults::BackendFaults;
pub(super) use self::{faults::BackendState, probed::rank_of};
use crate::{
    health::Health,
    input::Moment,
    service::{BackendRef, Protocol, Service, ServiceRef},
};

/// To walk over so many backends takes as long as to find one of them.
const WALKED: usize = 16;

/// Backends of all services.
#[derive(Clone, Debug, Default)]
pub(super) struct Backends {
    listed: BTreeMap<BackendRef, Listed>,
    /// Services by number, and numbers by service.
    names: Vec<ServiceRef>,
    numbers: BTreeMap<ServiceRef, u32>,
    /// Numbers that no service has.
    free: Vec<u32>,
    /// When time alone changes something about a backend: [`BackendFaults::due`] of each.
    due: BTreeSet<(Moment, BackendRef)>,
    /// Backends of which the kernel has seen something that no probe has judged, and the bytes by
    /// which it holds them back meanwhile; also if no service lists them any more, until that is
    /// [taken](Self::take_suspected).
    suspected: BTreeMap<BackendRef, HealthWord>,
    /// What an earlier agent left in the maps and this one has not taken over yet.
    restored: BTreeMap<BackendRef, HealthWord>,
    /// Backends that sockets of this node use.
    used: BTreeMap<BackendRef, Use>,
    /// When some of them may have been unused for long.
    look_again: Option<Moment>,
    /// The number of the last probe that was asked for at once.
    urgency: u32,
}

/// When sockets of this node were last known to use a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Use {
    last: Moment,
    /// The last use from a network of the system: no process can feign that.
    from_system: Option<Moment>,
}

/// A backend that some service lists.
#[derive(Clone, Debug)]
struct Listed {
    users: Users,
    state: BackendState,
}

/// Nearly all backends have one user, and then nothing is allocated.
#[derive(Clone, Debug)]
enum Users {
    One(u32),
    Many(BTreeSet<u32>),
}

impl Backends {
    /// These backends, as backends of these services alone.
    pub(super) fn excerpt(&self, services: &[&Service], backends: &BTreeSet<BackendRef>) -> Self {
        let mut excerpt = Self::default();
        let listed = services.iter().zip(0..).flat_map(|(service, number)| {
            service.backends.iter().map(move |listed| (listed.backend, number))
        });
        let mut uses: Vec<(BackendRef, u32)> = listed.collect();
        uses.sort_unstable();
        let names: Vec<&ServiceRef> = services.iter().map(|service| &service.name).collect();
        excerpt.link(&uses, &names);
        for backend in backends {
            if let Some((listed, known)) =
                excerpt.listed.get_mut(backend).zip(self.listed.get(backend))
            {
                listed.state = known.state.clone();
            }
            let used = self.used.get_key_value(backend);
            excerpt.used.extend(used.map(|(backend, used)| (*backend, *used)));
            let suspected = self.suspected.get_key_value(backend);
            excerpt.suspected.extend(suspected.map(|(backend, word)| (*backend, *word)));
        }
        excerpt
    }

    /// Services use backends from now on: pairs with the number of a service in `names`, sorted.
    pub(super) fn link(&mut self, uses: &[(BackendRef, u32)], names: &[&ServiceRef]) {
        let numbers: Vec<u32> = names.iter().map(|name| self.number(name)).collect();
        let number = |number: &u32| numbers[*number as usize];
        let new = |group: &[(BackendRef, u32)]| Listed {
            users: match group {
                [(_, one)] => Users::One(number(one)),
                many => Users::Many(many.iter().map(|(_, one)| number(one)).collect()),
            },
            state: BackendState::default(),
        };
        let groups = uses.chunk_by(|one, other| one.0 == other.0);
        if self.listed.is_empty() {
            // A map that is made of all at once costs a fraction of as many insertions.
            let mut listed = Vec::with_capacity(uses.len());
            listed.extend(groups.map(|group| (group[0].0, new(group))));
            self.listed = listed.into_iter().collect();
            return;
        }
        for group in groups {
            let insert = |listed: &mut Listed| {
                group.iter().for_each(|(_, one)| listed.users.insert(number(one)));
            };
            self.listed.entry(group[0].0).and_modify(insert).or_insert_with(|| new(group));
        }
    }

    /// A service does not use a backend any more; without users the backend is forgotten.
    pub(super) fn unlink(&mut self, backend: &BackendRef, user: &ServiceRef) {
        let Some(number) = self.numbers.get(user) else { return };
        if self.listed.get_mut(backend).is_some_and(|listed| listed.users.remove(*number)) {
            self.used.remove(backend);
            let faults = self.listed.remove(backend).and_then(|listed| listed.state.faults);
            if let Some(at) = faults.and_then(|faults| faults.due) {
                self.due.remove(&(at, *backend));
            }
        }
    }

    /// A service is gone; nothing is linked to it any more.
    pub(super) fn forget(&mut self, user: &ServiceRef) {
        self.free.extend(self.numbers.remove(user));
    }

    /// Services that use a backend, by name.
    pub(super) fn users(&self, backend: &BackendRef) -> Vec<&ServiceRef> {
        let name = |number: &u32| &self.names[*number as usize];
        match self.listed.get(backend).map(|listed| &listed.users) {
            None => Vec::new(),
            Some(Users::One(user)) => vec![name(user)],
            Some(Users::Many(users)) => {
                let mut users: Vec<&ServiceRef> = users.iter().map(name).collect();
                users.sort_unstable();
                users
            }
        }
    }

    /// Services that use any of these, each once.
    pub(super) fn users_of_any(&self, backends: &[BackendRef]) -> Vec<&ServiceRef> {
        if !self.is_worth_a_walk(backends) {
            let listed = backends.iter().filter_map(|backend| self.listed.get(backend));
            let mut numbers: Vec<u32> = listed.flat_map(|listed| listed.users.numbers()).collect();
            // Numbers are compared faster than names.
            numbers.sort_unstable();
            numbers.dedup();
            return numbers.into_iter().map(|number| &self.names[number as usize]).collect();
        }
        let mut is_user = vec![false; self.names.len()];
        let mut wanted = backends.iter().peekable();
        let range = backends[0]..=backends[backends.len() - 1];
        for (backend, listed) in self.listed.range(range) {
            while wanted.next_if(|wanted| *wanted < backend).is_some() {}
            if wanted.next_if_eq(&backend).is_some() {
                listed.users.numbers().for_each(|number| is_user[number as usize] = true);
            }
        }
        let users = self.names.iter().zip(is_user).filter(|(_, is_user)| *is_user);
        users.map(|(name, _)| name).collect()
    }

    /// Owners of the services that use a backend.
    pub(super) fn owners(&self, backend: &BackendRef) -> BTreeSet<&str> {
        self.users(backend).into_iter().map(ServiceRef::owner).collect()
    }

    /// What is known of a backend, if a service uses it.
    pub(super) fn get(&self, backend: &BackendRef) -> Option<&BackendState> {
        self.listed.get(backend).map(|listed| &listed.state)
    }

    /// Whether a service uses a backend.
    pub(super) fn is_listed(&self, backend: &BackendRef) -> bool {
        self.listed.contains_key(backend)
    }

    fn faults(&self, backend: &BackendRef) -> Option<&BackendFaults> {
        self.get(backend)?.faults.as_deref()
    }

    /// The health of a backend, to be changed.
    fn health(&mut self, backend: &BackendRef) -> Option<&mut Health> {
        self.listed.get_mut(backend).map(|listed| &mut listed.state.health)
    }

    /// Changes what is wrong with a backend; what is nothing any more is forgotten.
    fn change<T>(
        &mut self,
        backend: &BackendRef,
        change: impl FnOnce(&mut BackendFaults) -> T,
    ) -> Option<T> {
        let state = &mut self.listed.get_mut(backend)?.state;
        let faults = state.faults.get_or_insert_default();
        let before = faults.due;
        let changed = change(faults);
        faults.due = faults.next();
        if faults.due != before {
            if let Some(at) = before {
                self.due.remove(&(at, *backend));
            }
            self.due.extend(faults.due.map(|at| (at, *backend)));
        }
        if faults.questions.is_empty() {
            self.suspected.remove(backend);
        } else {
            self.suspected.insert(*backend, faults.held());
        }
        if !faults.has_timer() && !state.is_doubted() {
            state.faults = None;
        }
        Some(changed)
    }

    /// Whether a backend is out because its node is silent, from now on.
    pub(super) fn set_node_silent(&mut self, backend: &BackendRef, is_silent: bool) {
        self.change(backend, |faults| faults.is_node_silent = is_silent);
    }

    /// Whether a backend is out because its cluster is silent, from now on.
    pub(super) fn set_cluster_silent(&mut self, backend: &BackendRef, is_silent: bool) {
        if let Some(listed) = self.listed.get_mut(backend) {
            listed.state.is_cluster_silent = is_silent;
        }
    }

    /// Visits what is known of each of these, which are sorted, in their order.
    pub(super) fn visit(
        &mut self,
        backends: &[BackendRef],
        mut visit: impl FnMut(&BackendRef, &mut BackendState),
    ) {
        if self.is_worth_a_walk(backends) {
            let mut wanted = backends.iter().peekable();
            let range = backends[0]..=backends[backends.len() - 1];
            for (backend, listed) in self.listed.range_mut(range) {
                while wanted.next_if(|wanted| *wanted < backend).is_some() {}
                if wanted.next_if_eq(&backend).is_some() {
                    visit(backend, &mut listed.state);
                }
            }
            return;
        }
        for backend in backends {
            if let Some(listed) = self.listed.get_mut(backend) {
                visit(backend, &mut listed.state);
            }
        }
    }

    /// Whether to walk over all backends there are is faster than to find each of these.
    fn is_worth_a_walk(&self, backends: &[BackendRef]) -> bool {
        !backends.is_empty() && backends.len() * WALKED >= self.listed.len() && backends.is_sorted()
    }

    /// What its probes have shown is this.
    pub(super) fn set_health(&mut self, backend: &BackendRef, shown: Health) {
        if let Some(health) = self.health(backend) {
            *health = shown;
        }
    }

    /// Asks for a probe at once.
    pub(super) fn ask(&mut self, backend: &BackendRef) {
        let urgency = self.next_urgency();
        self.change(backend, |faults| faults.urgency = urgency);
    }

    /// A number that no urgent probe had lately.
    pub(super) fn next_urgency(&mut self) -> u32 {
        self.urgency = self.urgency.wrapping_add(1).max(1);
        self.urgency
    }

    /// Asks all open questions again: this node's network answers.
    pub(super) fn ask_again(&mut self) {
        let suspected: Vec<BackendRef> = self.suspected.keys().copied().collect();
        suspected.iter().for_each(|backend| self.ask(backend));
    }

    /// Whether the kernel has seen something of a backend, or an earlier agent has left something,
    /// that is not judged.
    pub(super) fn is_unjudged(&self, backend: &BackendRef) -> bool {
        self.suspected.contains_key(backend) || self.restored.contains_key(backend)
    }

    /// Every backend of which something is not judged.
    pub(super) fn unjudged(&self) -> impl Iterator<Item = &BackendRef> {
        self.suspected.keys().chain(self.restored.keys())
    }

    /// The earliest moment at which something about a backend changes, and which one.
    fn first_due(&self) -> Option<(Moment, BackendRef)> {
        self.due.first().copied()
    }

    fn number(&mut self, user: &ServiceRef) -> u32 {
        *self.numbers.entry(user.clone()).or_insert_with(|| {
            let number = self.free.pop().unwrap_or(self.names.len() as u32);
            match self.names.get_mut(number as usize) {
                Some(name) => *name = user.clone(),
                None => self.names.push(user.clone()),
            }
            number
        })
    }
}

impl Users {
    fn numbers(&self) -> impl Iterator<Item = u32> {
        let (one, many) = match self {
            Self::One(user) => (Some(*user), None),
            Self::Many(users) => (None, Some(users)),
        };
        one.into_iter().chain(many.into_iter().flatten().copied())
    }

    fn insert(&mut self, user: u32) {
        match self {
            Self::One(other) if *other == user => {}
            Self::One(other) => *self = Self::Many([*other, user].into()),
            Self::Many(users) => {
                users.insert(user);
            }
        }
    }

    /// Removes a user. Returns whether it was the last one.
    fn remove(&mut self, user: u32) -> bool {
        match self {
            Self::One(other) => *other == user,
            Self::Many(users) => {
                users.remove(&user);
                users.is_empty()
            }
        }
    }
}

/// Whether a backend can be probed: a UDP port without a listener says nothing.
pub(super) fn is_probed(backend: &BackendRef) -> bool {
    backend.protocol == Protocol::Tcp
}
