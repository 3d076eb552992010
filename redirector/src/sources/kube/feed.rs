//! The task that owns the index: what the watches say goes in, what the core is told comes out.

use std::{
    collections::BTreeSet,
    iter, mem,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use redirector_core::Input;
use redirector_kube::{
    api::{Batch, Change, Node, ObjectRef, regions},
    client::{Client, ErrorKind},
    index::{Index, News, Notice},
    report::Handle,
    watch::{Limits, Selector, State, Stats, watch},
};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, sleep_until},
};
use tracing::{info, warn};

use super::{Left, Shortfall, property, status};
use crate::{
    control::Ask,
    quota::{Quota, Subject},
};

/// News waiting, at most: then the watches wait.
pub(super) const QUEUE: usize = 256;
/// How long the API server must not know a kind until there are no objects of it.
const MISSING: Duration = Duration::from_secs(5);
/// How often is looked for what people should know: that costs as much as there are objects.
const NOTICES: Duration = Duration::from_millis(250);
/// How soon the Nodes may be listed again for a zone in no region.
const REGIONS: Duration = Duration::from_mins(10);
/// How soon it is asked again what the own cluster is called.
const PROPERTY: Duration = Duration::from_mins(10);

/// What the task needs.
#[derive(Debug)]
pub(super) struct Feed {
    pub index: Index,
    pub client: Client,
    pub limits: Limits,
    /// Counters of the watch for FailoverPolicies.
    pub policies: Arc<Stats>,
    /// Counters of the watch for RemoteClusters.
    pub clusters: Arc<Stats>,
    /// Where the task hears news, for what it asks by itself.
    pub heard: mpsc::Sender<News>,
    pub handle: Option<Handle>,
    /// How often the statuses of policies are looked at.
    pub statuses: Duration,
    /// What operators are told of Services that are not here.
    pub left: Left,
}

/// What has been said and asked so far.
#[derive(Default)]
struct FeedState {
    notices: BTreeSet<Notice>,
    quota: Quota,
    /// When notices were looked for, and when they are to be, if there may be new ones.
    noticed: Option<Instant>,
    notice_at: Option<Instant>,
    regions_asked: Option<Instant>,
    property_asked: Option<Instant>,
    policies: Optional,
    clusters: Optional,
    is_synced: bool,
}

/// What is known of a kind that a cluster may not have.
#[derive(Default)]
struct Optional {
    /// Its objects have been heard of, or given up.
    is_heard: bool,
    /// Since when it seems not to be there.
    missing_since: Option<Instant>,
}

impl Optional {
    /// Whether there are no objects of it: for a while the server has not known it. Only before any
    /// were heard of: a definition that is removed takes its objects with it, and the watch says so.
    /// True once.
    fn is_given_up(&mut self, is_missing: bool, now: Instant) -> bool {
        if self.is_heard || !is_missing {
            self.missing_since = None;
            return false;
        }
        let since = *self.missing_since.get_or_insert(now);
        self.is_heard = now.duration_since(since) >= MISSING;
        self.is_heard
    }
}

impl Feed {
    /// Runs until the agent no longer listens.
    pub(super) async fn run(
        mut self,
        mut inbox: mpsc::Receiver<News>,
        core: mpsc::Sender<Input>,
        asks: mpsc::Sender<Ask>,
    ) {
        let mut state = FeedState::default();
        let mut statuses = interval(self.statuses);
        statuses.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let notice_at = state.notice_at.unwrap_or_else(Instant::now);
            tokio::select! {
                news = inbox.recv() => {
                    let Some(news) = news else { break };
                    // Bursts are one difference.
                    for news in iter::once(news).chain(iter::from_fn(|| inbox.try_recv().ok())) {
                        match &news {
                            News::Policies(batch) => state.policies.is_heard |= batch.is_synced,
                            News::Clusters(batch) => state.clusters.is_heard |= batch.is_synced,
                            _ => {}
                        }
                        let may_name_clusters =
                            matches!(news, News::Policies(_) | News::Clusters(_));
                        self.index.take(news);
                        if may_name_clusters {
                            self.ask_for_property(&mut state);
                        }
                    }
                    if !self.tell(&core).await {
                        break;
                    }
                    let at = state.noticed.map_or_else(Instant::now, |last| last + NOTICES);
                    state.notice_at = Some(at);
                    self.notice(&mut state);
                }
                () = sleep_until(notice_at.into()), if state.notice_at.is_some() => {
                    self.notice(&mut state);
                }
                _ = statuses.tick() => {
                    state.quota.say_left_out(Instant::now());
                    self.ask_for_property(&mut state);
                    let missing = self.missing(&mut state);
                    if !missing.is_empty() {
                        missing.into_iter().for_each(|none| self.index.take(none));
                        if !self.tell(&core).await {
                            break;
                        }
                        state.notice_at = Some(Instant::now());
                    }
                    if let Some(handle) = &self.handle {
                        status::tell(&self.index, handle, &asks).await;
                    }
                }
            }
        }
    }

    /// Tells the agent what is new; says whether it still listens.
    async fn tell(&mut self, core: &mpsc::Sender<Input>) -> bool {
        let inputs = tokio::task::block_in_place(|| self.index.inputs());
        // At once: an address may move from one Service to another.
        if !inputs.is_empty() && core.send(Input::All(inputs)).await.is_err() {
            return false;
        }
        let servers = self.index.api_servers();
        if !servers.is_empty() {
            self.client.set_alternatives(servers);
        }
        true
    }

    /// Says what is new, and asks for what is missing, if that is due.
    fn notice(&self, state: &mut FeedState) {
        let now = Instant::now();
        if state.notice_at.is_none_or(|at| now < at) {
            return;
        }
        state.notice_at = None;
        state.noticed = Some(now);
        self.say_notices(state);
        self.ask_for_regions(state);
    }

    /// Says once when something is so, and once when it no longer is.
    fn say_notices(&self, state: &mut FeedState) {
        if self.index.is_synced() && !mem::replace(&mut state.is_synced, true) {
            info!("heard everything; from now on the tables follow the API server");
        }
        let notices = self.index.notices();
        let now = Instant::now();
        // One whose message changes with every version of the object, or that comes and goes, is news
        // each time: its tenant does not fill the log by that.
        let mut allows =
            |object: &ObjectRef| state.quota.allows(Subject::Object(object.to_string()), now);
        for Notice { object, reason, message } in notices.difference(&state.notices) {
            if allows(object) {
                warn!(%object, reason, "{message}");
            }
        }
        for Notice { object, reason, message } in state.notices.difference(&notices) {
            if allows(object) {
                info!(%object, reason, "no longer so: {message}");
            }
        }
        state.notices = notices;
        *self.left.write().unwrap_or_else(PoisonError::into_inner) =
            Shortfall { services: self.index.left(), newest: self.index.outdated(), file: None };
    }

    /// Where zones and Nodes are is asked for once, and again when one turns up whose region is not known: to
    /// watch all Nodes from all nodes would be most of the API server's work.
    fn ask_for_regions(&self, state: &mut FeedState) {
        let is_due = match state.regions_asked {
            None => self.index.is_synced(),
            Some(asked) => asked.elapsed() > REGIONS && !self.index.unknown_zones().is_empty(),
        };
        if !is_due {
            return;
        }
        state.regions_asked = Some(Instant::now());
        let (client, limits, heard) =
            (self.client.clone(), self.limits.clone(), self.heard.clone());
        tokio::spawn(async move {
            let (batches, mut inbox) = mpsc::channel(1);
            let task = watch(client, Selector::default(), limits, Arc::default(), batches);
            // The first batch is all there are; then the receiver is dropped, and the watch ends.
            let first = async { inbox.recv().await };
            let batch: Option<Batch<Node>> = tokio::select! {
                () = task => None,
                batch = first => batch,
            };
            let Some(batch) = batch else { return };
            let nodes: Vec<Node> = batch
                .changes
                .into_iter()
                .filter_map(|change| match change {
                    Change::Put(node) => Some(node),
                    Change::Remove(_) | Change::Rejected { .. } => None,
                })
                .collect();
            // A feed that no longer listens needs no answer.
            let _ = heard.send(News::Regions(regions(&nodes))).await;
            let ranges = nodes.iter().flat_map(Node::ranges).collect();
            let _ = heard.send(News::Nodes(ranges)).await;
        });
    }

    /// What the own cluster is called is asked for once it matters, and again now and then.
    fn ask_for_property(&self, state: &mut FeedState) {
        let is_fresh = state.property_asked.is_some_and(|asked| asked.elapsed() < PROPERTY);
        if is_fresh || !self.index.wants_property() {
            return;
        }
        state.property_asked = Some(Instant::now());
        tokio::spawn(property::ask(self.client.clone(), self.heard.clone()));
    }

    /// A cluster that does not know FailoverPolicies or RemoteClusters has none: that is news too. Nor
    /// has one whose RBAC rules are older than this agent any RemoteClusters.
    fn missing(&self, state: &mut FeedState) -> Vec<News> {
        let is_missing = |stats: &Stats| stats.snapshot().state == State::Missing;
        let (now, mut news) = (Instant::now(), Vec::new());
        if state.policies.is_given_up(is_missing(&self.policies), now) {
            warn!(
                "this cluster does not know FailoverPolicies; `redirector crd | kubectl apply -f -` \
                 teaches it"
            );
            news.push(News::Policies(Batch { changes: Vec::new(), is_synced: true }));
        }
        let is_forbidden = self.clusters.snapshot().errors.contains_key(&ErrorKind::Forbidden);
        if state.clusters.is_given_up(is_forbidden || is_missing(&self.clusters), now) {
            if is_forbidden {
                warn!(
                    "this agent may not read RemoteClusters, so it uses no other cluster; apply the \
                     RBAC rules of deploy/"
                );
            } else {
                info!(
                    "this cluster does not know RemoteClusters, so it has none; `redirector crd | \
                     kubectl apply -f -` teaches it"
                );
            }
            news.push(News::Clusters(Batch { changes: Vec::new(), is_synced: true }));
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_given_up_once_and_only_before_any_was_heard_of() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut kind = Optional::default();
        assert!(!kind.is_given_up(true, at(0)));
        assert!(!kind.is_given_up(true, at(4)), "a server that starts may not know it yet");
        assert!(!kind.is_given_up(false, at(5)), "it does know it");
        assert!(!kind.is_given_up(true, at(6)));
        assert!(kind.is_given_up(true, at(11)));
        assert!(!kind.is_given_up(true, at(20)), "once");
        let mut heard = Optional { is_heard: true, ..Optional::default() };
        assert!(!heard.is_given_up(true, at(0)) && !heard.is_given_up(true, at(60)));
    }
}
