//! Every backend that a service lists: who uses it, and how it is.
//!
//! Users are numbers: a million counted pointers to scattered names would be most of the time that
//! a large list takes.

use std::collections::{BTreeMap, BTreeSet};

use redirector_common::HealthWord;

use super::trouble::Trouble;
use crate::{
    health::Health,
    input::Moment,
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
    /// When time alone changes something about a backend: [`Trouble::due`] of each.
    due: BTreeSet<(Moment, BackendRef)>,
    /// Backends of which the kernel has seen something that no probe has judged, and the bytes by
    /// which it holds them back meanwhile; also if no service lists them any more, until that is
    /// [taken](Self::take_suspected).
    suspected: BTreeMap<BackendRef, HealthWord>,
    /// Backends that sockets of this node use.
    pub(super) used: BTreeMap<BackendRef, Use>,
}

/// When sockets of this node were last known to use a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Use {
    pub(super) last: Moment,
    /// The last use from a network of the system: no process can feign that.
    pub(super) from_system: Option<Moment>,
}

/// What is known of one backend.
#[derive(Clone, Debug)]
pub(super) struct Known {
    users: Users,
    pub(super) health: Health,
    /// Nearly all backends have none.
    pub(super) trouble: Option<Box<Trouble>>,
}

/// Nearly all backends have one user, and then nothing is allocated.
#[derive(Clone, Debug)]
enum Users {
    One(u32),
    Many(BTreeSet<u32>),
}

impl Backends {
    /// Becomes the backends of the services called `names`, from a sorted list of backends with the
    /// number of a service in `names`; what was known of them is kept.
    pub(super) fn rebuild(&mut self, uses: &[(BackendRef, u32)], names: Vec<ServiceRef>) {
        let mut earlier = std::mem::take(&mut self.known).into_iter().peekable();
        let groups = uses.chunk_by(|one, other| one.0 == other.0);
        let mut known = Vec::with_capacity(uses.len());
        known.extend(groups.map(|group| {
            let backend = group[0].0;
            while earlier.next_if(|(other, _)| *other < backend).is_some() {}
            let known = earlier.next_if(|(other, _)| *other == backend);
            let (health, trouble) =
                known.map(|(_, known)| (known.health, known.trouble)).unwrap_or_default();
            let users = match group {
                [(_, one)] => Users::One(*one),
                many => Users::Many(many.iter().map(|(_, number)| *number).collect()),
            };
            (backend, Known { users, health, trouble })
        }));
        self.known = known.into_iter().collect();
        self.numbers = names.iter().cloned().zip(0..).collect();
        self.names = names;
        self.free.clear();
        self.due.retain(|(_, backend)| self.known.contains_key(backend));
        self.used.retain(|backend, _| self.known.contains_key(backend));
    }

    /// A service uses a backend from now on.
    pub(super) fn link(&mut self, backend: BackendRef, user: &ServiceRef) {
        let number = self.number(user);
        let known = self.known.entry(backend);
        known.and_modify(|known| known.users.insert(number)).or_insert_with(|| Known {
            users: Users::One(number),
            health: Health::default(),
            trouble: None,
        });
    }

    /// A service does not use a backend any more; without users the backend is forgotten.
    pub(super) fn unlink(&mut self, backend: &BackendRef, user: &ServiceRef) {
        let Some(number) = self.numbers.get(user) else { return };
        if self.known.get_mut(backend).is_some_and(|known| known.users.remove(*number)) {
            self.used.remove(backend);
            let trouble = self.known.remove(backend).and_then(|known| known.trouble);
            if let Some(at) = trouble.and_then(|trouble| trouble.due) {
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

    /// What is known of a backend, if a service uses it.
    pub(super) fn get(&self, backend: &BackendRef) -> Option<&Known> {
        self.known.get(backend)
    }

    /// The health of a backend, to be changed.
    pub(super) fn health(&mut self, backend: &BackendRef) -> Option<&mut Health> {
        self.known.get_mut(backend).map(|known| &mut known.health)
    }

    /// Changes the trouble with a backend; what is no trouble any more is forgotten.
    pub(super) fn change<T>(
        &mut self,
        backend: &BackendRef,
        change: impl FnOnce(&mut Trouble) -> T,
    ) -> Option<T> {
        let known = self.known.get_mut(backend)?;
        let mut trouble = known.trouble.take().unwrap_or_default();
        let before = trouble.due;
        let changed = change(&mut trouble);
        trouble.due = trouble.next();
        if trouble.due != before {
            if let Some(at) = before {
                self.due.remove(&(at, *backend));
            }
            self.due.extend(trouble.due.map(|at| (at, *backend)));
        }
        if trouble.questions.is_empty() {
            self.suspected.remove(backend);
        } else {
            self.suspected.insert(*backend, trouble.held());
        }
        known.trouble = (!trouble.is_over()).then_some(trouble);
        Some(changed)
    }

    /// Backends of which the kernel has seen something that no probe has judged.
    pub(super) fn suspected(&self) -> impl Iterator<Item = &BackendRef> {
        self.suspected.keys()
    }

    /// The bytes by which the kernel holds a backend back without a verdict; `None`: no question.
    pub(super) fn held(&self, backend: &BackendRef) -> Option<HealthWord> {
        self.suspected.get(backend).copied()
    }

    /// Takes out what [`held`](Self::held) says: no service lists the backend any more.
    pub(super) fn take_suspected(&mut self, backend: &BackendRef) -> Option<HealthWord> {
        self.suspected.remove(backend)
    }

    /// The earliest moment at which something about a backend changes, and which one.
    pub(super) fn first_due(&self) -> Option<(Moment, BackendRef)> {
        self.due.first().copied()
    }

    /// Backends with any trouble.
    pub(super) fn troubled(&self) -> impl Iterator<Item = (&BackendRef, &Trouble)> {
        let known = self.known.iter();
        known.filter_map(|(backend, known)| Some((backend, known.trouble.as_deref()?)))
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
