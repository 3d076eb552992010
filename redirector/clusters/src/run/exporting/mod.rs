//! The exporter as a task, in every replica: the leader writes the outbox, another one knows it as well.

mod said;
mod unexported;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use redirector_kube::{
    api::{Batch, Object as _, ObjectRef},
    client::{Client, Error},
    report::Standing,
    watch::{Limits, Selector},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::sleep_until,
};

use self::unexported::Unexported;
use super::{
    board::Board,
    exports::Exports,
    heartbeat::{Beats, Renewal},
    identity::Identity,
    news::{Watches, named},
    places::{OutboxServices, OutboxSlices},
    timing::Timing,
    writing::{Newest, Writing},
};
use crate::{
    api::{HEARTBEAT, Heartbeat, OUTBOX, ServiceExport},
    export::{
        Difference, Exported, Exporter, LocalNamespace, LocalNews, LocalNode, LocalService,
        LocalSlice, slice_object,
    },
    import::Conflict,
    write::{Kept, Key, Kind, Ours, Pace},
};

/// News that wait, at most: then the watches wait.
const QUEUE: usize = 256;

/// What the importer finds in conflict.
pub(super) type Conflicts = BTreeMap<ObjectRef, Conflict>;

/// What it needs.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) client: Client,
    pub(super) limits: Limits,
    pub(super) timing: Timing,
    pub(super) identity: Identity,
    /// The name of this replica.
    pub(super) pod: Arc<str>,
    pub(super) trusted: Vec<ipnet::IpNet>,
    pub(super) standing: watch::Receiver<Standing>,
    pub(super) conflicts: watch::Receiver<Conflicts>,
    pub(super) board: Arc<Board>,
    pub(super) newest: Newest,
}

#[derive(Debug)]
enum Heard {
    Local(LocalNews),
    Services(Batch<Kept<OutboxServices>>),
    Slices(Batch<Kept<OutboxSlices>>),
    Beat(Batch<Heartbeat>),
}

struct Exporting {
    options: Options,
    exporter: Exporter,
    writing: Writing,
    beats: Beats,
    /// The renewal that is being written, and the newest version that was known before.
    renewing: JoinSet<(Renewal, u64, Result<String, Error>)>,
    looking: JoinSet<Result<Option<Heartbeat>, Error>>,
    exports: Exports,
    unexported: Unexported,
    /// A number that another life has not.
    epoch: u64,
    /// Since when there is something that has not been judged.
    news_since: Option<Instant>,
    /// What is in the outbox of each ExportedService, as far as the manifest says it.
    published: BTreeMap<Arc<str>, [u8; 32]>,
    /// When the manifest was last written.
    said_at: Option<Instant>,
    /// Something of the outbox has changed since the manifest was last compared.
    is_new: bool,
    /// Everything has been heard and judged at least once.
    is_known: bool,
    has_services: bool,
    has_slices: bool,
    is_failing: bool,
    /// The API server has an older state than was heard: watches would not say so for minutes.
    is_restored: bool,
}

/// Exports until the API server was restored from a backup: what was heard then holds no longer, and the
/// caller begins anew, with another epoch.
pub(super) async fn run(options: Options) {
    let (heard, mut inbox) = mpsc::channel(QUEUE);
    let mut tasks = JoinSet::new();
    let Options { client, limits, timing, .. } = &options;
    let watches = Watches { client, limits, heard: &heard };
    let all = Selector::default;
    watches
        .begin::<LocalService>(all(), &mut tasks, |batch| Heard::Local(LocalNews::Services(batch)));
    watches.begin::<LocalSlice>(all(), &mut tasks, |batch| Heard::Local(LocalNews::Slices(batch)));
    watches.begin::<LocalNamespace>(all(), &mut tasks, |batch| {
        Heard::Local(LocalNews::Namespaces(batch))
    });
    watches.begin::<LocalNode>(all(), &mut tasks, |batch| Heard::Local(LocalNews::Nodes(batch)));
    watches.begin::<Kept<OutboxServices>>(all(), &mut tasks, Heard::Services);
    watches.begin::<Kept<OutboxSlices>>(all(), &mut tasks, Heard::Slices);
    watches.begin::<Heartbeat>(named(HEARTBEAT), &mut tasks, Heard::Beat);
    let exports = Exports::begin(client.clone(), limits.clone(), timing.clone(), heard, |batch| {
        Heard::Local(LocalNews::Exports(batch))
    });
    let mut exporting = Exporting {
        exporter: Exporter::new(options.trusted.clone()),
        writing: Writing::new(client, Ours::All, timing.request, timing.divisor, &options.newest),
        beats: Beats::new(timing.beat, timing.stand_in),
        renewing: JoinSet::new(),
        looking: JoinSet::new(),
        exports,
        unexported: Unexported::new(options.client.with_deadline(options.timing.request)),
        epoch: rand::random(),
        news_since: None,
        published: BTreeMap::new(),
        said_at: None,
        is_new: true,
        is_known: false,
        has_services: false,
        has_slices: false,
        is_failing: false,
        is_restored: false,
        options,
    };
    loop {
        let next = exporting.next_deadline();
        let leads = exporting.options.standing.borrow().leads();
        tokio::select! {
            news = inbox.recv() => match news {
                Some(news) => exporting.take(news),
                None => return,
            },
            () = exporting.writing.next(leads) => {}
            Some(renewed) = exporting.renewing.join_next() => exporting.renewed(renewed),
            Some(looked) = exporting.looking.join_next() => exporting.looked(looked),
            () = exporting.exports.next() => {}
            is_news = exporting.unexported.answered(&exporting.exporter) => {
                exporting.is_new |= is_news;
            }
            Ok(()) = exporting.options.standing.changed() => {}
            Ok(()) = exporting.options.conflicts.changed() => exporting.exports.doubt(),
            () = sleep_until(next.into()) => {}
        }
        while let Ok(news) = inbox.try_recv() {
            exporting.take(news);
        }
        if exporting.is_restored {
            return;
        }
        exporting.act();
    }
}

impl Exporting {
    fn take(&mut self, news: Heard) {
        match news {
            Heard::Local(news) => {
                if let LocalNews::Exports(batch) = &news {
                    self.exports.doubt();
                    let collection = self.exports.collection().unwrap_or(ServiceExport::PATH);
                    self.unexported.take(batch, &self.exporter, collection);
                }
                self.exporter.take(news);
                // Copies in the outbox are heard as well, and are no news.
                if self.exporter.is_dirty() {
                    self.news_since.get_or_insert_with(Instant::now);
                }
            }
            Heard::Services(batch) => {
                self.has_services |= batch.is_synced;
                self.writing.heard(Kind::ExportedService, batch);
            }
            Heard::Slices(batch) => {
                self.has_slices |= batch.is_synced;
                self.writing.heard(Kind::EndpointSlice, batch);
            }
            Heard::Beat(batch) => self.take_beats(batch),
        }
    }

    /// Everything that follows from what has been heard.
    fn act(&mut self) {
        let now = Instant::now();
        self.options.board.beat();
        let is_synced = self.exporter.is_synced() && self.has_services && self.has_slices;
        self.options.board.set_ready(match is_synced {
            true => Ok(()),
            false => Err("the API server has not said everything yet".into()),
        });
        if self.judge_at().is_some_and(|at| at <= now) {
            self.judge();
        }
        self.is_known |= is_synced && self.news_since.is_none();
        self.writing.writer.set_may_remove(self.is_known);
        let leads = self.options.standing.borrow().leads();
        if leads && is_synced {
            self.writing.pump();
            let (exporter, writer) = (&self.exporter, &self.writing.writer);
            self.exports.act(exporter, &self.options.conflicts.borrow(), |name| {
                writer.is_written(&service_key(name))
            });
        }
        if is_synced {
            self.renew(leads, now);
        }
        self.note(leads);
    }

    /// When what was heard is judged: in batches, each of which is in the outbox and in the manifest before
    /// the next one begins, and for a moment longer: so there are times at which an importer that hears
    /// both holds what the manifest says, however much changes.
    fn judge_at(&self) -> Option<Instant> {
        let since = self.news_since.filter(|_| self.exporter.is_synced())?;
        let Timing { collect, hold, .. } = self.options.timing;
        let is_said = !self.is_new && self.renewing.is_empty();
        let leads = self.options.standing.borrow().leads();
        let is_calm = self.writing.writer.is_settled() && (is_said || !leads);
        let calm = self.said_at.map_or(since, |said| said.max(since)) + collect;
        Some(if is_calm { calm.min(since + hold) } else { since + hold })
    }

    fn judge(&mut self) {
        self.news_since = None;
        self.is_new = true;
        for Difference { before, after } in self.exporter.refresh() {
            let writer = &mut self.writing.writer;
            let keys = |exported: &Option<Arc<Exported>>| -> BTreeSet<Key> {
                exported.iter().flat_map(|exported| keys(exported)).collect()
            };
            let new = keys(&after);
            for gone in keys(&before).difference(&new) {
                writer.unwant(gone.clone());
            }
            let Some(after) = after else { continue };
            for slice in &after.slices {
                let is_same = before.as_ref().is_some_and(|before| before.slices.contains(slice));
                if !is_same {
                    writer.want(slice_key(&slice.name), &slice_object(slice), Pace::AtOnce);
                }
            }
            writer.want(service_key(&after.service.name), &after.service.object(), Pace::AtOnce);
        }
        self.exports.doubt();
    }

    fn next_deadline(&self) -> Instant {
        let now = Instant::now();
        let leads = self.options.standing.borrow().leads();
        let Timing { collect, beat, .. } = self.options.timing;
        // What is due and was not done cannot be done: it is looked at again soon.
        let later = |at: Instant| if at > now { at } else { now + beat / 20 };
        let renew = self.renewing.is_empty().then(|| later(self.beats.next(leads)));
        let exports = self.exports.next_deadline().filter(|_| leads).map(later);
        let due = [self.judge_at().map(later), renew, exports].into_iter().flatten().min();
        // Never in a loop, and often enough to be known to live.
        due.unwrap_or(now + beat).clamp(now + collect / 20, now + beat)
    }

    fn note(&self, leads: bool) {
        let services = self.exporter.exported().len();
        let (backlog, errors) = (self.writing.writer.backlog(), self.writing.errors);
        self.options.board.note(|figures| {
            figures.leads = leads;
            figures.exported_services = services;
            figures.backlog = backlog;
            figures.write_errors = errors;
        });
    }
}

fn service_key(name: &str) -> Key {
    Key { kind: Kind::ExportedService, namespace: OUTBOX.into(), name: name.into() }
}

fn slice_key(name: &str) -> Key {
    Key { kind: Kind::EndpointSlice, namespace: OUTBOX.into(), name: name.into() }
}

fn keys(exported: &Exported) -> Vec<Key> {
    let slices = exported.slices.iter().map(|slice| slice_key(&slice.name));
    slices.chain([service_key(&exported.service.name)]).collect()
}
