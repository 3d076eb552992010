//! Hears what the API server has to say of the objects of one kind, whatever happens on the way.
//!
//! A complete LIST, then a WATCH from its `resourceVersion`; when a watch ends, another one from
//! where it was. Said are differences only (`ObjectCache` remembers what has been said), so a relist
//! is silent about what is as it was, and it says what has vanished.
//!
//! Which `resourceVersion` is asked for:
//!
//! - The very first LIST: `0`, whatever the server's cache holds, as client-go's informers do:
//!   5,000 agents that start together must not ask etcd. The server may then send everything as
//!   one page; if that is too large, the list is asked for again in pages.
//! - A relist: `NotOlderThan` what was last heard, so that a replica that is behind cannot bring
//!   back what has been removed. It is asked for in pages if the last one was longer than 16 MiB,
//!   else in one, which the server answers from its cache.
//! - A relist after the server said that it does not know that version yet, or answered with an
//!   older one all the same: none, a consistent read. Its answer is the truth even if its version
//!   is older, because then etcd has been restored from a snapshot.
//!
//! Silence is no alarm: of a kind that does not change a server has nothing to say. After a silent
//! watch the next ones are asked to end (`timeoutSeconds`) sooner than silence is too long, and what
//! comes to such an end has a server that lives. A connection whose other end is gone is noticed
//! within 30 s by the kernel.
//! An object that is too long to be read is one that cannot be decoded: it keeps its last version, and
//! the watch goes on.
//!
//! What leads to a relist: 410 in any form; an event that cannot be attributed to an object; a
//! watch that is refused for another reason than load or failure; after an outage, a whole watch
//! without a line; and 10 minutes. Everything else resumes the watch.

mod backoff;
mod cache;
mod envelope;
mod events;
mod limits;
mod lines;
mod list;
mod stats;
mod task;
mod version;

use std::sync::Arc;

pub use limits::{Limits, Selector};
pub use stats::{Snapshot, State, Stats};
use tokio::sync::mpsc;

use crate::{
    api::{Batch, Object},
    client::Client,
};

/// Watches the objects of one kind until the receiver of `batches` is dropped.
///
/// The first batch is the first complete list; it may be empty. Every error is retried, counted
/// in `stats` and, once per outage, a warning.
pub async fn watch<T: Object>(
    client: Client,
    selector: Selector,
    limits: Limits,
    stats: Arc<Stats>,
    batches: mpsc::Sender<Batch<T>>,
) {
    let closed = batches.clone();
    let task = task::Task::new(client, selector, limits, stats.clone(), batches);
    tokio::select! {
        () = closed.closed() => {}
        () = task.run() => {}
    }
    stats.enter(State::Stopped);
}
