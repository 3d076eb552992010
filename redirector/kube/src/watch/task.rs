//! The loop of one watch: list, watch, watch again, and what each error leads to.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};
use tracing::{debug, info, warn};

use super::{
    Limits, Selector, State, Stats,
    backoff::Backoff,
    cache::Differences,
    events::{Heard, Line},
    lines::{Found, Lines},
    list::{Freshness, list},
};
use crate::{
    api::{Batch, Change, Object},
    client::{Client, Error, ErrorKind, Stream},
};

/// A list longer than this is asked for in pages.
const MAX_ONE_PAGE: usize = 16 << 20;

/// One watch.
pub(super) struct Task<T> {
    client: Client,
    selector: Selector,
    limits: Limits,
    stats: Arc<Stats>,
    batches: mpsc::Sender<Batch<T>>,
    heard: Heard,
    /// The next list has to be a consistent read.
    is_consistent: bool,
    page_size: Option<usize>,
    must_list: bool,
    /// When everything is listed again, whatever the watch says.
    relist_at: Instant,
    /// The last watch was silent, and no object has changed since: the next one is asked to end before
    /// that could be too long, so that its end says that the server lives.
    is_quiet: bool,
    /// A watch has failed other than by silence, and nothing has been heard since.
    was_away: bool,
    is_failing: bool,
    listing: Backoff,
    watching: Backoff,
    rng: StdRng,
}

impl<T: Object> Task<T> {
    pub(super) fn new(
        client: Client,
        selector: Selector,
        limits: Limits,
        stats: Arc<Stats>,
        batches: mpsc::Sender<Batch<T>>,
    ) -> Self {
        let backoff = || Backoff::new(limits.backoff, limits.longest_backoff);
        Self {
            listing: backoff(),
            watching: backoff(),
            page_size: Some(limits.page_size),
            client,
            selector,
            limits,
            stats,
            batches,
            heard: Heard::default(),
            is_consistent: false,
            must_list: true,
            relist_at: Instant::now(),
            is_quiet: false,
            was_away: false,
            is_failing: false,
            rng: StdRng::from_os_rng(),
        }
    }

    /// Lists and watches; never ends.
    pub(super) async fn run(mut self) {
        loop {
            let began = Instant::now();
            let is_list = self.must_list || began >= self.relist_at;
            let result = if is_list { self.relist().await } else { self.follow().await };
            let lasted = began.elapsed();
            match result {
                Ok(()) if is_list => self.listing.reset(),
                Ok(()) if Instant::now() >= self.relist_at => {}
                // A server that ends every watch at once is not asked in a loop.
                Ok(()) if lasted < self.limits.backoff * 2 => {
                    self.wait(State::Waiting, None, false).await;
                }
                Ok(()) => {}
                Err(error) if is_list && !self.must_list && error.kind() != ErrorKind::Behind => {
                    self.relist_later(&error);
                }
                Err(error) => {
                    self.must_list |= is_list;
                    if !is_list && lasted >= self.limits.backoff * 2 {
                        self.watching.reset();
                    }
                    self.fail(&error, is_list).await;
                }
            }
        }
    }

    /// Reads everything; what differs from what has been said is said.
    async fn relist(&mut self) -> Result<(), Error> {
        self.stats.enter(State::Listing);
        let Self { client, selector, limits, stats, page_size, .. } = &*self;
        let list =
            list::<T>(client, selector, limits, stats, &self.freshness(), *page_size).await?;
        let is_first = self.heard.version.is_none();
        let is_paged = list.bytes > MAX_ONE_PAGE;
        self.page_size = is_paged.then_some(self.page_size.unwrap_or(self.limits.page_size));
        let version = list.version.clone();
        let Differences { changes, missed } =
            self.heard.cache.replace(list, self.heard.version.as_ref());
        self.heard.version = Some(version);
        self.must_list = false;
        self.is_consistent = false;
        self.was_away = false;
        let spread = self.rng.random_range(0.8..=1.2);
        self.relist_at = Instant::now() + self.limits.relist.mul_f64(spread);
        let is_rejected = |change: &&Change<T>| matches!(change, Change::Rejected { .. });
        self.stats.note(|now| {
            now.rejected += changes.iter().filter(is_rejected).count() as u64;
            if !is_first {
                now.relists += 1;
                now.differences += changes.len() as u64;
                now.missed += missed as u64;
            }
        });
        if missed > 0 {
            warn!(kind = T::KIND, missed, "a relist found changes that the watch had not said");
        }
        self.succeed();
        if is_first || !changes.is_empty() {
            self.publish(changes).await;
        }
        Ok(())
    }

    /// Follows one watch, from where the last one was, until it ends.
    async fn follow(&mut self) -> Result<(), Error> {
        self.stats.enter(State::Connecting);
        self.stats.note(|now| now.watches += 1);
        let (asked, has_its_end) = (self.asked_length(), self.is_quiet);
        let path = self.watch_path(asked);
        let mut stream = self.client.open(&path, self.limits.first_byte).await?;
        self.stats.enter(State::Watching);
        self.read_events(&mut stream, asked, has_its_end).await
    }

    /// Hears a watch until a relist is due or the server ends it, as it was asked to do after `asked`;
    /// with `has_its_end` that is before silence is too long, so that silence beyond is an error.
    async fn read_events(
        &mut self,
        stream: &mut Stream,
        asked: Duration,
        has_its_end: bool,
    ) -> Result<(), Error> {
        let mut lines = Lines::new(self.limits.line);
        let began = Instant::now();
        let ends_at = began + self.limits.watch.mul_f64(1.1) + self.limits.silence;
        let mut silent_at = began + self.limits.silence;
        let mut has_heard = false;
        loop {
            tokio::select! {
                chunk = stream.chunk() => {
                    let Some(chunk) = chunk? else {
                        // Else a server may be going away, which ends watches at any time.
                        let is_due = began.elapsed() + Duration::from_secs(1) >= asked;
                        if is_due && !has_heard {
                            self.confirm();
                        }
                        return Ok(());
                    };
                    lines.push(&chunk);
                    if self.take_lines(&mut lines).await? {
                        has_heard = true;
                        silent_at = Instant::now() + self.limits.silence;
                    }
                }
                () = sleep_until(silent_at) => {
                    let after = self.limits.silence;
                    if has_its_end {
                        return Err(Error::TimedOut { what: "no event and no end", after });
                    }
                    // Of a kind that does not change no server says anything: not yet an error.
                    debug!(kind = T::KIND, ?after, "a silent watch; another one is to say that the server lives");
                    self.is_quiet = true;
                    return Ok(());
                }
                () = sleep_until(ends_at.min(self.relist_at)) => return Ok(()),
            }
        }
    }

    /// A watch has ended as it was asked to, without a line. Nothing has changed; or it was from a
    /// version that the server has not reached, of which it says nothing either (kube-apiserver
    /// `cache_watcher.go`, `process`). After an outage only a list can tell: etcd may have been
    /// restored from a snapshot.
    fn confirm(&mut self) {
        self.must_list |= self.was_away;
        self.succeed();
    }

    /// Takes in the lines that are complete; says whether there was one.
    async fn take_lines(&mut self, lines: &mut Lines) -> Result<bool, Error> {
        let mut changes = Vec::new();
        let mut has_heard = false;
        let result = loop {
            let limit = self.limits.line;
            let line = match lines.next() {
                Ok(Some(Found::Whole(line))) => self.heard.line::<T>(&line, &self.stats),
                Ok(Some(Found::TooLong { beginning, length })) => {
                    Ok(self.heard.too_long(&beginning, length, limit, &self.stats))
                }
                Ok(None) => break Ok(()),
                Err(_) => break Err(Error::TooLarge { what: "event", limit }),
            };
            match line {
                Ok(line) => {
                    self.stats.note(|now| {
                        now.events += 1;
                        now.ignored += u64::from(matches!(line, Line::Ignored));
                    });
                    has_heard = true;
                    match line {
                        Line::Change(change) => changes.push(change),
                        Line::Unnamed => self.list_soon(),
                        Line::Ignored | Line::Bookmark => {}
                    }
                }
                Err(error) => break Err(error),
            }
            if self.heard.cache.len() > self.limits.objects {
                let limit = self.limits.objects;
                break Err(Error::TooLarge { what: "set of objects", limit });
            }
        };
        if has_heard {
            self.was_away = false;
            self.watching.reset();
            self.succeed();
        }
        if !changes.is_empty() {
            self.is_quiet = false;
            self.publish(changes).await;
        }
        result.map(|()| has_heard)
    }

    /// Lists after the longest backoff, however often that is asked for; until then the watch goes on.
    fn list_soon(&mut self) {
        warn!(kind = T::KIND, "an event that is too long is passed over; its object is not known");
        let soon = Instant::now() + self.limits.longest_backoff;
        self.relist_at = self.relist_at.min(soon);
    }

    /// Waits for room; once the receiver is gone, the whole task is dropped.
    async fn publish(&mut self, changes: Vec<Change<T>>) {
        let _ = self.batches.send(Batch { changes, is_synced: true }).await;
    }

    /// What an error leads to.
    async fn fail(&mut self, error: &Error, was_list: bool) {
        self.stats.note(|now| {
            *now.errors.entry(error.kind()).or_default() += 1;
            now.failing = Some((error.kind(), error.to_string().into()));
        });
        if self.is_failing {
            debug!(kind = T::KIND, %error, "still no news from the API server");
        } else {
            warn!(kind = T::KIND, %error, "no news from the API server; what was said stays");
        }
        self.is_failing = true;
        if was_list {
            self.ask_otherwise(error.kind());
        } else {
            self.was_away |= error.kind() != ErrorKind::TimedOut;
            self.is_consistent |= error.kind() == ErrorKind::Behind;
            self.must_list |= error.kind().needs_a_relist();
        }
        let is_missing = was_list && error.kind() == ErrorKind::NotFound;
        let state = if is_missing { State::Missing } else { State::Waiting };
        self.wait(state, error.retry_after(), was_list).await;
    }

    /// What the next list is, after one that failed.
    fn ask_otherwise(&mut self, why: ErrorKind) {
        match why {
            ErrorKind::Behind | ErrorKind::Gone => self.is_consistent = true,
            ErrorKind::TooLarge => self.ask_for_less(),
            _ => {}
        }
    }

    fn ask_for_less(&mut self) {
        if self.freshness() == Freshness::Any {
            // Servers answer `0` from their cache, in one page whatever the limit.
            self.is_consistent = true;
            return;
        }
        self.page_size = Some(match self.page_size {
            Some(size) => (size / 2).max(1),
            None => self.limits.page_size,
        });
    }

    fn freshness(&self) -> Freshness {
        match &self.heard.version {
            _ if self.is_consistent => Freshness::Consistent,
            Some(version) => Freshness::NotOlderThan(version.clone()),
            None => Freshness::Any,
        }
    }

    /// A relist that was due has failed; the watch goes on from where it was.
    fn relist_later(&mut self, error: &Error) {
        debug!(kind = T::KIND, %error, "a relist failed; it is tried again");
        self.stats.note(|now| *now.errors.entry(error.kind()).or_default() += 1);
        self.ask_otherwise(error.kind());
        let asked = error.retry_after().unwrap_or_default();
        self.relist_at = Instant::now() + self.limits.longest_backoff.max(asked);
    }

    async fn wait(&mut self, state: State, asked: Option<Duration>, is_list: bool) {
        self.stats.enter(state);
        let backoff = if is_list { &mut self.listing } else { &mut self.watching };
        let wait = backoff.wait(asked, &mut self.rng);
        sleep(wait).await;
    }

    fn succeed(&mut self) {
        self.stats.note(|now| {
            now.last_success = Some(SystemTime::now());
            now.failing = None;
        });
        if self.is_failing {
            info!(kind = T::KIND, "news from the API server again");
        }
        self.is_failing = false;
    }

    /// How long the server is asked to let a watch live.
    fn asked_length(&mut self) -> Duration {
        let longest =
            if self.is_quiet { self.limits.silence.mul_f64(0.83) } else { self.limits.watch };
        let seconds = longest.mul_f64(self.rng.random_range(0.9..=1.1)).as_secs().max(1);
        Duration::from_secs(seconds)
    }

    fn watch_path(&self, asked: Duration) -> String {
        let mut query = self.selector.query();
        query.append_pair("watch", "1");
        query.append_pair("allowWatchBookmarks", "true");
        query.append_pair("timeoutSeconds", &asked.as_secs().to_string());
        if let Some(version) = &self.heard.version {
            query.append_pair("resourceVersion", &version.to_string());
        }
        format!("{}?{}", T::PATH, query.finish())
    }
}
