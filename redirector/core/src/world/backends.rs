//! Every backend that a service lists: who uses it, and how it is.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    health::Health,
    service::{BackendRef, ServiceRef},
};

/// Backends of all services.
#[derive(Clone, Debug, Default)]
pub(super) struct Backends(BTreeMap<BackendRef, Known>);

/// One backend.
#[derive(Clone, Debug)]
struct Known {
    users: Users,
    health: Health,
}

/// Nearly all have one user, and then nothing is allocated.
#[derive(Clone, Debug)]
enum Users {
    One(ServiceRef),
    Many(BTreeSet<ServiceRef>),
}

impl Backends {
    /// Those of the services called `names`, from a sorted list of who uses what (a number in
    /// `names`); what was known of them is kept.
    pub(super) fn rebuild(&mut self, uses: &[(BackendRef, u32)], names: &[ServiceRef]) {
        let mut earlier = std::mem::take(&mut self.0).into_iter().peekable();
        let groups = uses.chunk_by(|one, other| one.0 == other.0);
        let mut known = Vec::with_capacity(uses.len());
        known.extend(groups.map(|group| {
            let backend = group[0].0;
            while earlier.next_if(|(other, _)| *other < backend).is_some() {}
            let known = earlier.next_if(|(other, _)| *other == backend);
            let users = group.iter().map(|(_, number)| names[*number as usize].clone());
            let health = known.map(|(_, known)| known.health).unwrap_or_default();
            (backend, Known { users: users.collect(), health })
        }));
        self.0 = known.into_iter().collect();
    }

    /// A service uses it from now on.
    pub(super) fn link(&mut self, backend: BackendRef, user: &ServiceRef) {
        self.0.entry(backend).and_modify(|known| known.users.insert(user)).or_insert_with(|| {
            Known { users: Users::One(user.clone()), health: Health::default() }
        });
    }

    /// A service does not use it any more; without users it is forgotten.
    pub(super) fn unlink(&mut self, backend: &BackendRef, user: &ServiceRef) {
        if self.0.get_mut(backend).is_some_and(|known| known.users.remove(user)) {
            self.0.remove(backend);
        }
    }

    /// Services that use it, by name.
    pub(super) fn users(
        &self,
        backend: &BackendRef,
    ) -> impl Iterator<Item = &ServiceRef> + use<'_> {
        let (one, many) = match self.0.get(backend).map(|known| &known.users) {
            None => (None, None),
            Some(Users::One(user)) => (Some(user), None),
            Some(Users::Many(users)) => (None, Some(users)),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    /// How it is, if anybody uses it.
    pub(super) fn health(&mut self, backend: &BackendRef) -> Option<&mut Health> {
        self.0.get_mut(backend).map(|known| &mut known.health)
    }

    /// Those that their probes have ejected.
    pub(super) fn ejected(&self) -> impl Iterator<Item = BackendRef> {
        self.0.iter().filter(|(_, known)| known.health.is_ejected()).map(|(backend, _)| *backend)
    }
}

impl Users {
    fn insert(&mut self, user: &ServiceRef) {
        match self {
            Self::One(other) if other == user => {}
            Self::One(other) => *self = [other.clone(), user.clone()].into_iter().collect(),
            Self::Many(users) => {
                users.insert(user.clone());
            }
        }
    }

    /// Whether it was the last one.
    fn remove(&mut self, user: &ServiceRef) -> bool {
        match self {
            Self::One(other) => other == user,
            Self::Many(users) => {
                users.remove(user);
                users.is_empty()
            }
        }
    }
}

impl FromIterator<ServiceRef> for Users {
    fn from_iter<I: IntoIterator<Item = ServiceRef>>(users: I) -> Self {
        let mut users = users.into_iter();
        let Some(first) = users.next() else { return Self::Many(BTreeSet::new()) };
        match users.next() {
            None => Self::One(first),
            Some(second) => Self::Many([first, second].into_iter().chain(users).collect()),
        }
    }
}
