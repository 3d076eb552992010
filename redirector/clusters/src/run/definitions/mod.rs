//! Kinds whose definition a user removes while they are watched: with it Kubernetes removes every object
//! of the kind, and no user meant these removals.
//!
//! While a definition goes its API server takes no new object of it, and discovery says so before the first
//! object goes (apiextensions-apiserver `customresource_discovery_controller.go`). So discovery is asked
//! before a removal is heard, and one that comes with the end of the definition is held back.

mod held;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use redirector_kube::{
    api::{Batch, Change, Object, ObjectRef},
    client::{Client, Error},
    watch::{Selector, State},
};
use serde_json::Value;
use tokio::{sync::mpsc, task::JoinSet, time::sleep};
use tracing::{info, warn};

use self::held::Held;
use super::{news::Watches, timing::Timing};

/// How long discovery gets to follow the definition.
const LAG: Duration = Duration::from_millis(200);

impl<N: Send + 'static> Watches<'_, N> {
    /// Watches a kind whose objects are kept when its definition goes; `object` says which one it is.
    pub(super) fn begin_defined<T: Object>(
        &self,
        timing: &Timing,
        object: fn(&T) -> ObjectRef,
        tasks: &mut JoinSet<()>,
        news: impl Fn(Batch<T>) -> N + Send + 'static,
    ) {
        let (batches, mut inbox) = mpsc::channel(1);
        let watches = Watches { client: self.client, limits: self.limits, heard: &batches };
        let stats = watches.begin::<T>(Selector::default(), tasks, |batch| batch);
        let (group, plural) = T::PATH.rsplit_once('/').unwrap_or(("", T::PATH));
        let client = self.client.with_deadline(timing.request);
        let discovery = Discovery { client, group, plural };
        let (heard, timing) = (self.heard.clone(), timing.clone());
        tasks.spawn(async move {
            let mut held = Held::default();
            let mut is_said = false;
            loop {
                let look = sleep(if held.is_empty() { timing.missing } else { timing.retry });
                let mut batch = tokio::select! {
                    batch = inbox.recv() => match batch {
                        Some(batch) => Some(batch),
                        None => return,
                    },
                    () = look => None,
                };
                if let Some(batch) = &mut batch
                    && held.take(batch, object)
                {
                    sleep(LAG / timing.divisor).await;
                }
                let gone = if held.is_empty() {
                    BTreeSet::new()
                } else {
                    held.judge(discovery.is_served().await, Instant::now(), timing.reapplied)
                };
                let is_missing = held.is_missing() || stats.snapshot().state == State::Missing;
                if is_missing != std::mem::replace(&mut is_said, is_missing) {
                    say(plural, is_missing, timing.reapplied);
                }
                // A list without an object is news too.
                let is_news = batch.as_ref().is_some_and(|batch| batch.is_synced);
                let mut batch = batch.unwrap_or(Batch { changes: Vec::new(), is_synced: true });
                batch.changes.extend(gone.into_iter().map(Change::Remove));
                if (is_news || !batch.changes.is_empty()) && heard.send(news(batch)).await.is_err()
                {
                    return;
                }
            }
        });
    }
}

fn say(plural: &str, is_missing: bool, reapplied: Duration) {
    if is_missing {
        warn!(
            plural,
            "this cluster has no definition of a kind; what its objects said stays; apply it and them again \
             (kubectl apply -k deploy/crd, -k deploy/crd/mcs)"
        );
    } else {
        info!(
            plural,
            ?reapplied,
            "the definition is there again; what is not applied in time goes"
        );
    }
}

/// Where is asked whether a kind is served.
struct Discovery {
    client: Client,
    /// `/apis/GROUP/VERSION`.
    group: &'static str,
    plural: &'static str,
}

impl Discovery {
    /// Whether objects of the kind may be created; `None`: that is not known. An account that may not ask
    /// believes every removal.
    async fn is_served(&self) -> Option<bool> {
        match self.client.get(self.group).await {
            Ok(answer) => Some(is_created(&answer.object().ok()?, self.plural)),
            Err(Error::NotFound { .. }) => Some(false),
            Err(Error::Forbidden { .. }) => Some(true),
            Err(_) => None,
        }
    }
}

/// Whether an `APIResourceList` has that kind, and objects of it may be created.
fn is_created(list: &Value, plural: &str) -> bool {
    let mut all = list["resources"].as_array().into_iter().flatten();
    let found = all.find(|one| one["name"] == plural);
    let verbs = found.and_then(|one| one["verbs"].as_array());
    verbs.is_some_and(|verbs| verbs.iter().any(|verb| verb == "create"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_definition_that_is_being_removed_creates_nothing() {
        let list =
            |verbs: Value| json!({"resources": [{"name": "remoteclusters", "verbs": verbs}]});
        assert!(is_created(&list(json!(["get", "create"])), "remoteclusters"));
        assert!(!is_created(&list(json!(["get", "list", "delete"])), "remoteclusters"));
        assert!(!is_created(&json!({"resources": []}), "remoteclusters"));
    }
}
