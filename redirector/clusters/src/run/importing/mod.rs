//! The importer as a task, in the replica that leads: what is heard of all clusters, what follows, and
//! what is written of it.

mod watches;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use redirector_core::Moment;
use redirector_kube::{
    api::{Batch, Change, Object as _, RemoteCluster},
    client::Client,
    watch::{Limits, State, Stats},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::sleep_until,
};
use tracing::warn;

use super::{
    board::{Board, ClusterFigures},
    clusters::Statuses,
    credentials::Keeper,
    exporting::Conflicts,
    found,
    identity::Identity,
    news::{Both, split},
    places::{DerivedServices, ImportedSlices, Imports},
    remote::{Contact, Remote},
    timing::Timing,
    writing::{Newest, Writing},
};
use crate::{
    import::{
        DesiredKind, DesiredRef, Importer, News, OutboxNews, OwnImport, OwnNode, Pace, Settings,
    },
    write::{self, Kept, Key, Kind, Ours},
};

/// What came before this process: a cluster that is silent has been so for up to its `keepFor`, of 24 h
/// at most, and a restart is no reason to begin that anew.
const BEFORE: Duration = Duration::from_hours(25);

/// News that wait, at most: then the watches wait.
const QUEUE: usize = 1_024;

/// What it needs.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) client: Client,
    pub(super) limits: Limits,
    pub(super) timing: Timing,
    pub(super) identity: Identity,
    /// Where the Secrets are.
    pub(super) namespace: Arc<str>,
    pub(super) cluster_set_ips: bool,
    pub(super) conflicts: watch::Sender<Conflicts>,
    pub(super) board: Arc<Board>,
    pub(super) newest: Newest,
}

#[derive(Debug)]
enum Heard {
    News(News),
    Clusters(Batch<RemoteCluster>),
    Nodes(Batch<OwnNode>),
    Imports(Batch<Both<OwnImport, Kept<Imports>>>),
    Derived(Batch<Kept<DerivedServices>>),
    Slices(Batch<Kept<ImportedSlices>>),
}

struct Importing {
    options: Options,
    importer: Importer,
    writing: Writing,
    statuses: Statuses,
    remotes: BTreeMap<Arc<str>, Remote>,
    heard: mpsc::Sender<Heard>,
    /// When each cluster was last heard.
    beats: BTreeMap<Arc<str>, Instant>,
    nodes: BTreeMap<Arc<str>, ()>,
    origin: Instant,
    tick_at: Option<Instant>,
    has_imports: bool,
    has_derived: bool,
    has_slices: bool,
    is_missing: bool,
}

/// Imports until the task is dropped.
pub(super) async fn run(options: Options) {
    let found = found::find(&options.client, &options.timing).await;
    let (heard, mut inbox) = mpsc::channel(QUEUE);
    let mut tasks = JoinSet::new();
    let imports = watches::begin(&options, &heard, &mut tasks);
    let Options { client, timing, identity, .. } = &options;
    let settings = Settings {
        cluster: Arc::clone(&identity.cluster),
        uid: Some(Arc::clone(&identity.uid)),
        cluster_set_ips: options.cluster_set_ips,
        divide_timeouts: timing.divisor,
    };
    let mut importing = Importing {
        importer: Importer::new(settings),
        writing: Writing::new(
            client,
            Ours::Imported,
            timing.request,
            timing.divisor,
            &options.newest,
        ),
        statuses: Statuses::new(client, timing),
        remotes: BTreeMap::new(),
        heard,
        beats: BTreeMap::new(),
        nodes: BTreeMap::new(),
        origin: Instant::now(),
        tick_at: Some(Instant::now()),
        has_imports: false,
        has_derived: false,
        has_slices: false,
        is_missing: false,
        options,
    };
    importing.importer.take(News::Found(found));
    loop {
        let next = importing.next_deadline();
        let is_news = tokio::select! {
            news = inbox.recv() => {
                let Some(news) = news else { return };
                importing.take(news);
                true
            }
            () = importing.writing.next(true) => false,
            () = importing.statuses.next() => false,
            () = sleep_until(next.into()) => false,
        };
        while let Ok(news) = inbox.try_recv() {
            importing.take(news);
        }
        importing.look_for_definition(&imports);
        importing.act(is_news);
    }
}

impl Importing {
    fn take(&mut self, news: Heard) {
        match news {
            Heard::News(news) => {
                if let News::Outbox { cluster, news: OutboxNews::Heartbeat(Some(_)) } = &news {
                    self.beats.insert(Arc::clone(cluster), Instant::now());
                }
                self.importer.take(news);
            }
            Heard::Clusters(batch) => {
                self.connect(&batch);
                self.importer.take(News::RemoteClusters(batch));
            }
            Heard::Nodes(batch) => {
                for change in &batch.changes {
                    match change {
                        Change::Put(node) => drop(self.nodes.insert(node.name.clone(), ())),
                        Change::Remove(object) => drop(self.nodes.remove(&object.name)),
                        Change::Rejected { .. } => {}
                    }
                }
                self.writing.writer.set_nodes(self.nodes.len());
                self.importer.take(News::Nodes(batch));
            }
            Heard::Imports(batch) => {
                self.has_imports |= batch.is_synced;
                let (imports, kept) = split(batch);
                self.writing.heard(Kind::ServiceImport, kept);
                self.importer.take(News::Imports(imports));
            }
            Heard::Derived(batch) => {
                self.has_derived |= batch.is_synced;
                self.writing.heard(Kind::Service, batch);
            }
            Heard::Slices(batch) => {
                self.has_slices |= batch.is_synced;
                self.writing.heard(Kind::EndpointSlice, batch);
            }
        }
        self.tick_at = Some(Instant::now());
    }

    /// Begins connections to clusters that are joined, and ends those to clusters that are left. One whose
    /// object cannot be read stays connected as it was.
    fn connect(&mut self, batch: &Batch<RemoteCluster>) {
        for change in &batch.changes {
            match change {
                Change::Put(RemoteCluster { name, spec, is_leaving, .. }) => {
                    let Ok(spec) = spec else { continue };
                    let contact = Contact::of(spec).filter(|_| !is_leaving);
                    let is_same =
                        self.remotes.get(name).map(|remote| &remote.contact) == contact.as_ref();
                    if is_same {
                        continue;
                    }
                    let was_connected = self.remotes.remove(name).is_some();
                    if was_connected {
                        let cluster = Arc::clone(name);
                        self.importer.take(News::Outbox { cluster, news: OutboxNews::Restarted });
                    }
                    if let Some(contact) = contact {
                        let remote = self.remote(name, contact);
                        self.remotes.insert(Arc::clone(name), remote);
                    }
                }
                Change::Remove(object) => {
                    self.remotes.remove(&object.name);
                    self.beats.remove(&object.name);
                }
                Change::Rejected { .. } => {}
            }
        }
    }

    fn remote(&self, name: &Arc<str>, contact: Contact) -> Remote {
        let Options { client, timing, identity, namespace, .. } = &self.options;
        let keeper = Keeper {
            client: client.clone(),
            namespace: Arc::clone(namespace),
            secret: Arc::clone(&contact.secret),
            cluster: Arc::clone(name),
            own: Arc::clone(&identity.cluster),
        };
        let cluster = Arc::clone(name);
        Remote::begin(contact, keeper, timing.clone(), self.heard.clone(), move |news| {
            Heard::News(News::Outbox { cluster: cluster.clone(), news })
        })
    }

    /// Everything that follows from what has been heard.
    fn act(&mut self, is_news: bool) {
        self.options.board.beat();
        let now = Instant::now();
        if is_news || self.tick_at.is_some_and(|at| at <= now) {
            let next = self.importer.tick(self.moment());
            self.tick_at = next.map(|next| self.origin + next.0);
            self.want();
        }
        self.writing.pump();
        self.statuses.act(&self.importer.desired().statuses);
    }

    /// Tells the writer what changed of what is desired.
    fn want(&mut self) {
        let changes = self.importer.take_changes();
        let desired = self.importer.desired();
        for (object, pace) in changes.objects {
            let key = key(&object);
            let pace = match pace {
                Pace::AtOnce => write::Pace::AtOnce,
                Pace::Paced => write::Pace::Paced,
            };
            match desired.objects.get(&object) {
                Some(body) => self.writing.writer.want(key, &body.value(), pace),
                None => self.writing.writer.unwant(key),
            }
        }
        let is_known = self.has_imports && self.has_derived && self.has_slices;
        self.writing.writer.set_may_remove(desired.is_complete && is_known);
        for cluster in changes.statuses {
            self.statuses.doubt(cluster);
        }
        if !changes.conflicts.is_empty() {
            self.options.conflicts.send_replace(desired.conflicts.clone());
        }
        for cluster in self.importer.take_relists() {
            if let Some(remote) = self.remotes.get(&cluster) {
                remote.relist();
            }
        }
        self.note();
    }

    fn note(&self) {
        let statuses = &self.importer.desired().statuses;
        let figures = |(name, status): (&Arc<str>, &crate::import::ClusterStatus)| {
            let heard = self.beats.get(name).copied();
            let figures = ClusterFigures {
                phase: status.phase,
                heard,
                endpoints: status.endpoints.unwrap_or_default(),
            };
            (Arc::clone(name), figures)
        };
        let clusters = statuses.iter().map(figures).collect();
        self.options.board.note(|all| all.clusters = clusters);
    }

    /// A definition that is not there means that there is no ServiceImport, before any was heard of; one
    /// that is removed later leaves everything as it is, and the log says what is missing.
    fn look_for_definition(&mut self, imports: &Stats) {
        let is_missing = imports.snapshot().state == State::Missing;
        if is_missing && !self.is_missing {
            warn!(
                path = OwnImport::PATH,
                "this cluster does not know ServiceImports of v1beta1; nothing can be imported until the \
                 definitions of the Multi-Cluster Services API are applied (deploy/crd/mcs)"
            );
            if !self.has_imports {
                let none = Batch { changes: Vec::new(), is_synced: true };
                self.importer.take(News::Imports(none));
                self.has_imports = true;
            }
        }
        self.is_missing = is_missing;
    }

    fn next_deadline(&self) -> Instant {
        let now = Instant::now();
        let due = [self.tick_at, self.statuses.next_deadline()].into_iter().flatten().min();
        let Timing { beat, collect, .. } = self.options.timing;
        due.unwrap_or(now + beat).clamp(now + collect / 20, now + beat)
    }

    fn moment(&self) -> Moment {
        Moment(BEFORE + self.origin.elapsed())
    }
}

fn key(object: &DesiredRef) -> Key {
    let kind = match object.kind {
        DesiredKind::ServiceImport => Kind::ServiceImport,
        DesiredKind::Service => Kind::Service,
        DesiredKind::EndpointSlice => Kind::EndpointSlice,
    };
    Key { kind, namespace: Arc::clone(&object.namespace), name: Arc::clone(&object.name) }
}
