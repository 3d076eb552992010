//! Every backend that a service lists: who uses it, and how it is.
//!
//! Users are numbers: a million counted pointers to scattered names would be most of the time that
//! a large list takes.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    health::Health,
    service::{BackendRef, ServiceRef},
};

/// Backends of all services.
#[derive(Clone, Debug, Default)]
pub(super) struct Backends {
    known: BTreeMap<BackendRef, Known>,
    /// Services by number, and numbers by service.
    names: Vec<ServiceRef>,
    numbers: BTreeMap<ServiceRef, u32>,
    /// Numbers that no service has.
    free: Vec<u32>,
}

/// One backend.
#[derive(Clone, Debug)]
struct Known {
    users: Users,
    health: Health,
}

/// Nearly all have one user, and then nothing is allocated.
#[derive(Clone, Debug)]
enum Users {
    One(u32),
    Many(BTreeSet<u32>),
}

impl Backends {
    /// Those of the services called `names`, from a sorted list of who uses what (a number in
    /// `names`); what was known of them is kept.
    pub(super) fn rebuild(&mut self, uses: &[(BackendRef, u32)], names: Vec<ServiceRef>) {
        let mut earlier = std::mem::take(&mut self.known).into_iter().peekable();
        let groups = uses.chunk_by(|one, other| one.0 == other.0);
        let mut known = Vec::with_capacity(uses.len());
        known.extend(groups.map(|group| {
            let backend = group[0].0;
            while earlier.next_if(|(other, _)| *other < backend).is_some() {}
            let known = earlier.next_if(|(other, _)| *other == backend);
            let health = known.map(|(_, known)| known.health).unwrap_or_default();
            let users = match group {
                [(_, one)] => Users::One(*one),
                many => Users::Many(many.iter().map(|(_, number)| *number).collect()),
            };
            (backend, Known { users, health })
        }));
        self.known = known.into_iter().collect();
        self.numbers = names.iter().cloned().zip(0..).collect();
        self.names = names;
        self.free.clear();
    }

    /// A service uses it from now on.
    pub(super) fn link(&mut self, backend: BackendRef, user: &ServiceRef) {
        let number = self.number(user);
        let known = self.known.entry(backend);
        known
            .and_modify(|known| known.users.insert(number))
            .or_insert_with(|| Known { users: Users::One(number), health: Health::default() });
    }

    /// A service does not use it any more; without users it is forgotten.
    pub(super) fn unlink(&mut self, backend: &BackendRef, user: &ServiceRef) {
        let Some(number) = self.numbers.get(user) else { return };
        if self.known.get_mut(backend).is_some_and(|known| known.users.remove(*number)) {
            self.known.remove(backend);
        }
    }

    /// A service is gone; nothing is linked to it any more.
    pub(super) fn forget(&mut self, user: &ServiceRef) {
        self.free.extend(self.numbers.remove(user));
    }

    /// Services that use it, by name.
    pub(super) fn users(&self, backend: &BackendRef) -> Vec<&ServiceRef> {
        let name = |number: &u32| &self.names[*number as usize];
        match self.known.get(backend).map(|known| &known.users) {
            None => Vec::new(),
            Some(Users::One(user)) => vec![name(user)],
            Some(Users::Many(users)) => {
                let mut users: Vec<&ServiceRef> = users.iter().map(name).collect();
                users.sort_unstable();
                users
            }
        }
    }

    /// How it is, if anybody uses it.
    pub(super) fn health(&mut self, backend: &BackendRef) -> Option<&mut Health> {
        self.known.get_mut(backend).map(|known| &mut known.health)
    }

    /// Those that their probes have ejected.
    pub(super) fn ejected(&self) -> impl Iterator<Item = BackendRef> {
        let ejected = self.known.iter().filter(|(_, known)| known.health.is_ejected());
        ejected.map(|(backend, _)| *backend)
    }

    fn number(&mut self, user: &ServiceRef) -> u32 {
        if let Some(number) = self.numbers.get(user) {
            return *number;
        }
        let number = self.free.pop().unwrap_or(self.names.len() as u32);
        match self.names.get_mut(number as usize) {
            Some(name) => *name = user.clone(),
            None => self.names.push(user.clone()),
        }
        self.numbers.insert(user.clone(), number);
        number
    }
}

impl Users {
    fn insert(&mut self, user: u32) {
        match self {
            Self::One(other) if *other == user => {}
            Self::One(other) => *self = Self::Many([*other, user].into()),
            Self::Many(users) => {
                users.insert(user);
            }
        }
    }

    /// Whether it was the last one.
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
