//! Watches as tasks, whose news a loop takes in one queue.

use std::sync::Arc;

use redirector_kube::{
    api::{Batch, Change, Object, ObjectRef},
    client::Client,
    watch::{Limits, Selector, Stats, watch},
};
use tokio::{sync::mpsc, task::JoinSet};

/// An object read in two ways, of one watch.
#[derive(Clone, Debug)]
pub(super) struct Both<A, B>(pub(super) A, pub(super) B);

impl<A: Object, B: Object> Object for Both<A, B> {
    const PATH: &'static str = A::PATH;
    const KIND: &'static str = A::KIND;

    fn decode(json: &[u8]) -> Result<Self, String> {
        Ok(Self(A::decode(json)?, B::decode(json)?))
    }
}

/// A batch of objects that were read in two ways as a batch of each.
pub(super) fn split<A, B>(batch: Batch<Both<A, B>>) -> (Batch<A>, Batch<B>) {
    let is_synced = batch.is_synced;
    let (mut ones, mut others) = (Vec::new(), Vec::new());
    for change in batch.changes {
        let (one, other) = match change {
            Change::Put(Both(one, other)) => (Change::Put(one), Change::Put(other)),
            Change::Remove(object) => (Change::Remove(object.clone()), Change::Remove(object)),
            Change::Rejected { object, why } => {
                let again = Change::Rejected { object: object.clone(), why: why.clone() };
                (again, Change::Rejected { object, why })
            }
        };
        ones.push(one);
        others.push(other);
    }
    (Batch { changes: ones, is_synced }, Batch { changes: others, is_synced })
}

/// The same batch of objects that are read as others.
pub(super) fn mapped<A, B>(batch: Batch<A>, map: impl Fn(A) -> B) -> Batch<B> {
    let change = |change| match change {
        Change::Put(object) => Change::Put(map(object)),
        Change::Remove(object) => Change::Remove(object),
        Change::Rejected { object, why } => Change::Rejected { object, why },
    };
    Batch { changes: batch.changes.into_iter().map(change).collect(), is_synced: batch.is_synced }
}

/// Where all watches of one loop are begun.
#[derive(Debug)]
pub(super) struct Watches<'w, N> {
    pub(super) client: &'w Client,
    pub(super) limits: &'w Limits,
    pub(super) heard: &'w mpsc::Sender<N>,
}

impl<N: Send + 'static> Watches<'_, N> {
    /// A watch, and a task that says whose its news are. Queues are short: then the watch waits.
    pub(super) fn begin<T: Object>(
        &self,
        selector: Selector,
        tasks: &mut JoinSet<()>,
        news: impl Fn(Batch<T>) -> N + Send + 'static,
    ) -> Arc<Stats> {
        let stats: Arc<Stats> = Arc::default();
        let (batches, mut inbox) = mpsc::channel(1);
        let (client, limits) = (self.client.clone(), self.limits.clone());
        tasks.spawn(watch::<T>(client, selector, limits, Arc::clone(&stats), batches));
        let heard = self.heard.clone();
        tasks.spawn(async move {
            while let Some(batch) = inbox.recv().await {
                if heard.send(news(batch)).await.is_err() {
                    break;
                }
            }
        });
        stats
    }
}

/// Objects with that label and value.
pub(super) fn labelled(label: &str, value: &str) -> Selector {
    Selector { labels: format!("{label}={value}"), fields: String::new() }
}

/// The object of that name.
pub(super) fn named(name: &str) -> Selector {
    Selector { fields: format!("metadata.name={name}"), labels: String::new() }
}

/// A path below which an object is.
pub(super) fn path(collection: &str, object: &ObjectRef) -> String {
    let ObjectRef { namespace, name } = object;
    match collection.rsplit_once('/') {
        Some((group, plural)) if !namespace.is_empty() => {
            format!("{group}/namespaces/{namespace}/{plural}/{name}")
        }
        _ => format!("{collection}/{name}"),
    }
}
