//! What the server does wrong when a test asks for it, while it runs.
//!
//! A fault is for requests of a verb and a resource, until it is removed. Watches that run already are told through [`Faults::close_watches`] and the like.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tokio::sync::broadcast;

use super::log::Verb;

/// What happens instead of the right answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// A `Status` of that code.
    Status(u16),
    /// No byte is answered, the connection stays.
    Hang,
    /// It is done, and no byte is answered.
    Deaf,
    /// A list is answered by 200 and has no object.
    Empty,
    /// An answer ends in its middle, and the connection with it.
    Half,
}

/// Which requests, and what is done to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    verbs: Vec<Verb>,
    resource: Option<String>,
    user: Option<String>,
    /// How many requests that fit go well before it strikes.
    later: u32,
    effect: Effect,
}

impl Fault {
    /// A fault for every request for a resource.
    #[must_use]
    pub fn new(effect: Effect) -> Self {
        Self { verbs: Verb::ALL.into(), resource: None, user: None, later: 0, effect }
    }

    /// `Status` of that code.
    #[must_use]
    pub fn status(code: u16) -> Self {
        Self::new(Effect::Status(code))
    }

    /// Strikes only that verb.
    #[must_use]
    pub fn on(self, verb: Verb) -> Self {
        Self { verbs: vec![verb], ..self }
    }

    /// Strikes only what changes something.
    #[must_use]
    pub fn on_writes(self) -> Self {
        let writes = Verb::ALL.into_iter().filter(|verb| !verb.is_reading());
        Self { verbs: writes.collect(), ..self }
    }

    /// Strikes only that user: `system:serviceaccount:…`.
    #[must_use]
    pub fn by(self, user: &str) -> Self {
        Self { user: Some(user.to_owned()), ..self }
    }

    /// Strikes once so many requests that fit have gone well.
    #[must_use]
    pub fn after(self, requests: u32) -> Self {
        Self { later: requests, ..self }
    }

    /// Strikes only that resource: `services`, `failoverpolicies/status`.
    #[must_use]
    pub fn of(self, resource: &str) -> Self {
        Self { resource: Some(resource.to_owned()), ..self }
    }
}

/// Which fault, to remove it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FaultId(u64);

/// All faults of a server.
#[derive(Debug)]
pub struct Faults {
    inner: Mutex<Inner>,
    orders: broadcast::Sender<Order>,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    active: Vec<(FaultId, Fault)>,
    garbled: BTreeMap<(String, String, String), Bytes>,
    silent: BTreeSet<String>,
}

/// What watches that run are told.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub resource: Option<String>,
    pub what: What,
}

#[derive(Debug, Clone)]
pub(super) enum What {
    Close,
    Cut,
    /// What is silent has changed.
    Look,
}

impl Default for Faults {
    fn default() -> Self {
        Self { inner: Mutex::default(), orders: broadcast::Sender::new(64) }
    }
}

impl Faults {
    /// Adds a fault from now on. The first one that fits a request is what happens to it.
    pub fn add(&self, fault: Fault) -> FaultId {
        let mut inner = self.lock();
        inner.next += 1;
        let id = FaultId(inner.next);
        inner.active.push((id, fault));
        id
    }

    /// Removes a fault.
    pub fn remove(&self, id: FaultId) {
        self.lock().active.retain(|(other, _)| *other != id);
    }

    /// Removes all faults, silence and garbled objects included.
    pub fn clear(&self) {
        let mut inner = self.lock();
        *inner = Inner { next: inner.next, ..Inner::default() };
        drop(inner);
        self.order(None, What::Look);
    }

    /// Ends the watches that run, properly: of a resource, or all.
    pub fn close_watches(&self, resource: Option<&str>) {
        self.order(resource, What::Close);
    }

    /// Cuts the connections of the watches that run: of a resource, or all.
    pub fn cut_watches(&self, resource: Option<&str>) {
        self.order(resource, What::Cut);
    }

    /// Watches of a resource, also those that run, say nothing while it is silent; what they have
    /// missed they say afterwards.
    pub fn silence(&self, resource: &str, is_silent: bool) {
        let mut inner = self.lock();
        if is_silent {
            inner.silent.insert(resource.to_owned());
        } else {
            inner.silent.remove(resource);
        }
        drop(inner);
        self.order(Some(resource), What::Look);
    }

    /// In lists, watches and reads that object is these bytes, until [`Faults::clear`].
    pub fn garble(&self, resource: &str, namespace: &str, name: &str, bytes: impl Into<Bytes>) {
        let key = (resource.to_owned(), namespace.to_owned(), name.to_owned());
        self.lock().garbled.insert(key, bytes.into());
    }

    pub(super) fn is_silent(&self, resource: &str) -> bool {
        self.lock().silent.contains(resource)
    }

    /// The garbled objects of a resource by namespace and name.
    pub(super) fn garbled(&self, resource: &str) -> BTreeMap<(String, String), Bytes> {
        let inner = self.lock();
        let of_it = inner.garbled.iter().filter(|((of, ..), _)| of == resource);
        of_it
            .map(|((_, namespace, name), bytes)| ((namespace.clone(), name.clone()), bytes.clone()))
            .collect()
    }

    pub(super) fn orders(&self) -> broadcast::Receiver<Order> {
        self.orders.subscribe()
    }

    /// What happens to this request.
    pub(super) fn of_request(&self, verb: Verb, resource: &str, user: &str) -> Option<Effect> {
        let mut inner = self.lock();
        let fits = |fault: &Fault| {
            fault.verbs.contains(&verb)
                && fault.resource.as_ref().is_none_or(|wanted| wanted == resource)
                && fault.user.as_ref().is_none_or(|wanted| wanted == user)
        };
        for (_, fault) in inner.active.iter_mut().filter(|(_, fault)| fits(fault)) {
            if fault.later == 0 {
                return Some(fault.effect);
            }
            fault.later -= 1;
        }
        None
    }

    fn order(&self, resource: Option<&str>, what: What) {
        // Without any watch there is no receiver.
        let _ = self.orders.send(Order { resource: resource.map(str::to_owned), what });
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
