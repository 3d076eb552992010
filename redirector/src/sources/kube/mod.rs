//! The Kubernetes source: watches and their index as tasks, and what the agent says back.
//!
//! Everything that can go wrong with the API server ends here: the agent only ever hears what is
//! known for sure. What the watches say is understood in `redirector-kube`.

mod counts;
mod feed;
mod property;
mod status;

use std::sync::Arc;

use anyhow::{Context as _, Result};
use redirector_core::Input;
use redirector_kube::{
    api::{EndpointSlice, FailoverPolicy, Node, Object, RemoteCluster, Service},
    client::{Client, Options as ClientOptions},
    index::{Index, News, Settings},
    report::{
        Handle, Identity, Reporter, Timing,
        owner::{Origin, Owner, Verdict},
    },
    watch::{Limits, Selector, Stats, watch},
};
use tokio::{sync::mpsc, task::JoinSet};

pub use counts::Counts;

use super::{Left, Shortfall};
use crate::control::Ask;

/// What the command line says of the Kubernetes source.
#[derive(Clone, Debug)]
pub struct Options {
    /// How the API server is reached.
    pub client: ClientOptions,
    /// What of it is ours.
    pub settings: Settings,
    /// What the watches put up with.
    pub limits: Limits,
    /// How often is reported.
    pub timing: Timing,
    /// The agent's own namespace; `None` reports nothing.
    pub namespace: Option<Arc<str>>,
    /// How the agent's own DaemonSet is known; `None` is not at all: then it never leaves.
    pub origin: Option<Origin>,
}

/// The source, ready to be run.
#[derive(Debug)]
pub struct Kube {
    client: Client,
    options: Options,
    /// Counters of the watches for Services, slices, policies, the own Node and other clusters, by
    /// kind.
    watches: [(&'static str, Arc<Stats>); 5],
    reporter: Option<Reporter>,
    /// Where the agent tells what has happened.
    pub handle: Option<Handle>,
    /// The DaemonSet that the agent belongs to, if it is known how to ask for it.
    pub owner: Option<Arc<Owner>>,
    /// Services that are not in the kernel as the API server has them.
    pub left: Left,
}

impl Kube {
    /// Reads where the API server is and who we are. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// Environment, kubeconfig or flags do not say it.
    pub async fn new(options: Options) -> Result<Self> {
        let client = Client::new(options.client.clone())
            .await
            .context("cannot tell how to reach the API server")?;
        let report = options.namespace.clone().map(|namespace| {
            let identity = Identity { node: Arc::clone(&options.settings.node), namespace };
            Reporter::with_timing(client.clone(), identity, options.timing.clone())
        });
        let (reporter, handle) = report.unzip();
        let owner = options.namespace.clone().zip(options.origin.clone());
        let owner = owner
            .map(|(namespace, origin)| Arc::new(Owner::new(client.clone(), namespace, origin)));
        let kinds = [
            Service::KIND,
            EndpointSlice::KIND,
            FailoverPolicy::KIND,
            Node::KIND,
            RemoteCluster::KIND,
        ];
        let watches = kinds.map(|kind| (kind, Arc::default()));
        Ok(Self { client, options, watches, reporter, handle, owner, left: Left::default() })
    }

    /// What is counted.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let watches = self.watches.clone();
        Counts { watches, reports: self.handle.as_ref().map(Handle::stats) }
    }

    /// Starts the watches, the task that understands them, and the reporter.
    pub fn start(
        self,
        news: mpsc::Sender<Input>,
        asks: mpsc::Sender<Ask>,
        tasks: &mut JoinSet<()>,
    ) {
        let Self { client, options, watches, reporter, handle, owner, left } = self;
        let (heard, inbox) = mpsc::channel(feed::QUEUE);
        let node = Selector {
            fields: format!("metadata.name={}", options.settings.node),
            labels: String::new(),
        };
        let all = Selector::default;
        let [services, slices, policies, own, clusters] = watches.map(|(_, stats)| stats);
        let start = Start { client: &client, limits: &options.limits, heard: &heard };
        start.watch::<Service>(all(), &services, News::Services, tasks);
        start.watch::<EndpointSlice>(all(), &slices, News::Slices, tasks);
        start.watch::<FailoverPolicy>(all(), &policies, News::Policies, tasks);
        start.watch::<Node>(node, &own, News::Node, tasks);
        start.watch::<RemoteCluster>(all(), &clusters, News::Clusters, tasks);
        let feed = feed::Feed {
            index: Index::new(options.settings),
            client,
            limits: options.limits,
            policies,
            clusters,
            heard: heard.clone(),
            handle: handle.clone(),
            statuses: options.timing.statuses,
            left,
        };
        tasks.spawn(feed.run(inbox, news, asks));
        if let Some(reporter) = reporter {
            tasks.spawn(async move { match reporter.run().await {} });
        }
        if let Some(owner) = owner {
            tasks.spawn(async move {
                let known = owner.learn().await;
                // A feed that no longer listens needs no answer.
                let _ = heard.send(News::Agent(known.pod_addresses.clone())).await;
                if let Some(handle) = handle {
                    handle.set_owner(known);
                }
            });
        }
    }
}

/// What all watches have in common.
struct Start<'a> {
    client: &'a Client,
    limits: &'a Limits,
    heard: &'a mpsc::Sender<News>,
}

impl Start<'_> {
    /// A watch, and a task that says whose its news are. Queues are short: then the watch waits.
    fn watch<T: Object>(
        &self,
        selector: Selector,
        stats: &Arc<Stats>,
        news: fn(redirector_kube::api::Batch<T>) -> News,
        tasks: &mut JoinSet<()>,
    ) {
        let (batches, mut inbox) = mpsc::channel(1);
        let (client, limits) = (self.client.clone(), self.limits.clone());
        tasks.spawn(watch::<T>(client, selector, limits, Arc::clone(stats), batches));
        let heard = self.heard.clone();
        tasks.spawn(async move {
            while let Some(batch) = inbox.recv().await {
                if heard.send(news(batch)).await.is_err() {
                    break;
                }
            }
        });
    }
}

/// Whether the agent should take everything away with it.
pub async fn leaves(owner: Option<&Owner>) -> bool {
    let Some(owner) = owner else { return false };
    let verdict = owner.ask().await;
    tracing::info!(%verdict, "asked for the DaemonSet of this agent");
    matches!(verdict, Verdict::Leaves(_))
}
