//! What the server does wrong when a test asks for it, while it runs.
//!
//! A fault is for requests of a verb, a resource, a page; for so many of them or until it is
//! removed. Watches that run already are told through [`Faults::close_watches`] and the like.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::broadcast;

use super::log::Verb;

/// What happens instead of, or before, the right answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// A `Status` of that code; `retry_after` in seconds as header and field.
    Status {
        /// HTTP status code.
        code: u16,
        /// `Retry-After`, in seconds.
        retry_after: Option<u32>,
    },
    /// The right answer, so much later. Several add up.
    Latency(Duration),
    /// No byte is answered, the connection stays.
    Hang,
    /// The connection is cut before any answer.
    Disconnect,
    /// The right answer ends after so many bytes of its body: the connection is cut.
    Cut(usize),
    /// After so many bytes of the right body nothing comes any more; the connection stays.
    Stall(usize),
    /// Any answer at all.
    Raw(RawAnswer),
    /// Of a watch: 200, then `ERROR` with `Status` 410 in the stream.
    ExpiredEvent,
    /// Of a watch: 200 and nothing more.
    Silence,
    /// Of a watch: bookmarks and nothing else.
    BookmarksOnly,
    /// Reads are answered by a replica that is behind and stays at that version.
    Replica(u64),
}

/// An answer made by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawAnswer {
    /// HTTP status code.
    pub code: u16,
    /// Names and values; `content-type` is JSON unless one is here.
    pub headers: Vec<(String, String)>,
    /// The body, sent in these pieces, 5 ms apart.
    pub chunks: Vec<Bytes>,
    /// What follows.
    pub then: Then,
}

/// How a raw answer goes on after its chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It ends properly.
    End,
    /// The connection is cut.
    Cut,
    /// Nothing more comes; the connection stays.
    Stall,
    /// The last chunk is sent again and again: a line or a body without end.
    Repeat,
}

/// Which requests, how many of them, and what is done to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    verb: Option<Verb>,
    resource: Option<String>,
    user: Option<String>,
    page: Option<u32>,
    times: Option<u32>,
    effect: Effect,
}

impl Fault {
    /// A fault for every request for a resource.
    #[must_use]
    pub fn new(effect: Effect) -> Self {
        Self { verb: None, resource: None, user: None, page: None, times: None, effect }
    }

    /// `Status` of that code.
    #[must_use]
    pub fn status(code: u16) -> Self {
        Self::new(Effect::Status { code, retry_after: None })
    }

    /// Strikes only that verb.
    #[must_use]
    pub fn on(self, verb: Verb) -> Self {
        Self { verb: Some(verb), ..self }
    }

    /// Strikes only that resource: `services`, `failoverpolicies/status`.
    #[must_use]
    pub fn of(self, resource: &str) -> Self {
        Self { resource: Some(resource.to_owned()), ..self }
    }

    /// Strikes only that user.
    #[must_use]
    pub fn by(self, user: &str) -> Self {
        Self { user: Some(user.to_owned()), ..self }
    }

    /// Strikes only that page of a list; the first is 1.
    #[must_use]
    pub fn page(self, page: u32) -> Self {
        Self { page: Some(page), ..self }
    }

    /// Strikes only so many times.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times: Some(times), ..self }
    }
}

/// What happens to TLS connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsFault {
    /// They work.
    #[default]
    None,
    /// The server answers no TLS.
    Garbage,
    /// The certificate is of another CA.
    Stranger,
    /// The handshake hangs.
    Hang,
}

/// Which fault, to ask how often it has struck and to remove it.
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
    struck: BTreeMap<FaultId, u32>,
    garbled: BTreeMap<(String, String, String), Bytes>,
    silent: BTreeSet<String>,
    tls: TlsFault,
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
    Send(Bytes),
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

    /// How many requests it has struck.
    #[must_use]
    pub fn struck(&self, id: FaultId) -> u32 {
        self.lock().struck.get(&id).copied().unwrap_or(0)
    }

    /// Removes all faults, silence and garbled objects included.
    pub fn clear(&self) {
        let mut inner = self.lock();
        let next = inner.next;
        let struck = std::mem::take(&mut inner.struck);
        *inner = Inner { next, struck, ..Inner::default() };
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

    /// Sends these bytes on the watches of a resource that run: broken lines, duplicates, events
    /// without version.
    pub fn inject(&self, resource: &str, bytes: impl Into<Bytes>) {
        self.order(Some(resource), What::Send(bytes.into()));
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

    /// Sets what happens to TLS connections from now on.
    pub fn tls(&self, fault: TlsFault) {
        self.lock().tls = fault;
    }

    pub(super) fn tls_now(&self) -> TlsFault {
        self.lock().tls
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

    /// What happens to this request: how long it waits, and the first other effect that fits.
    pub(super) fn of_request(
        &self,
        verb: Verb,
        resource: &str,
        user: &str,
        page: u32,
    ) -> (Duration, Option<Effect>) {
        let mut inner = self.lock();
        let Inner { active, struck, .. } = &mut *inner;
        let (mut latency, mut effect) = (Duration::ZERO, None);
        for (id, fault) in active.iter_mut() {
            let fits = fault.verb.is_none_or(|wanted| wanted == verb)
                && fault.resource.as_ref().is_none_or(|wanted| wanted == resource)
                && fault.user.as_ref().is_none_or(|wanted| wanted == user)
                && fault.page.is_none_or(|wanted| wanted == page)
                && fault.times != Some(0);
            match &fault.effect {
                Effect::Latency(more) if fits => latency += *more,
                other if fits && effect.is_none() => effect = Some(other.clone()),
                _ => continue,
            }
            fault.times = fault.times.map(|left| left - 1);
            *struck.entry(*id).or_default() += 1;
        }
        (latency, effect)
    }

    fn order(&self, resource: Option<&str>, what: What) {
        // Without any watch there is no receiver.
        let _ = self.orders.send(Order { resource: resource.map(str::to_owned), what });
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
