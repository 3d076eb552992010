//! The connection to another cluster's API server: its outbox is watched, and nothing else.

mod kinds;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use k8s_openapi::ByteString;
use redirector_kube::{
    api::{Batch, Change, ObjectRef},
    client::{self, Client, Given},
    watch::Limits,
};
use redirector_policy::ValidRemoteCluster;
use serde_json::json;
use tokio::{
    sync::{Notify, mpsc},
    task::JoinSet,
    time::{sleep, sleep_until},
};

use self::kinds::Kinds;
use super::{
    credentials::Keeper,
    news::{Watches, named},
    timing::Timing,
};
use crate::{
    api::{Credentials, ExportedService, HEARTBEAT, Heartbeat, OutboxSlice, importer_account},
    import::{Failure, OutboxNews},
};

/// How often is looked whether the watches have news.
const LOOK: Duration = Duration::from_millis(250);
/// A Lease that should change every second and does not for so long: the connection may be dead, and
/// another one is tried.
const DEAF: Duration = Duration::from_secs(4);

/// What is needed to reach a cluster; another one is another connection.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Contact {
    /// The URL of its API server.
    pub(super) server: String,
    /// Certificates that vouch for it: PEM, in base64.
    pub(super) ca_bundle: Option<String>,
    /// Where its token is.
    pub(super) secret: Arc<str>,
}

impl Contact {
    /// That of a RemoteCluster; `None`: others discover it.
    pub(super) fn of(spec: &ValidRemoteCluster) -> Option<Self> {
        let spec = spec.spec();
        Some(Self {
            server: spec.server.clone()?,
            ca_bundle: spec.ca_bundle.clone(),
            secret: spec.credentials.as_ref()?.secret_name.as_str().into(),
        })
    }
}

/// A connection; dropping it ends it.
#[derive(Debug)]
pub(super) struct Remote {
    pub(super) contact: Contact,
    relist: Arc<Notify>,
    _task: JoinSet<()>,
}

impl Remote {
    /// Begins; what is heard is told with `tell`.
    pub(super) fn begin<N, F>(
        contact: Contact,
        keeper: Keeper,
        timing: Timing,
        heard: mpsc::Sender<N>,
        tell: F,
    ) -> Self
    where
        N: Send + 'static,
        F: Fn(OutboxNews) -> N + Clone + Send + Sync + 'static,
    {
        let relist = Arc::new(Notify::new());
        let line = Line { contact: contact.clone(), keeper, timing, heard, tell };
        let mut task = JoinSet::new();
        task.spawn(line.run(Arc::clone(&relist)));
        Self { contact, relist, _task: task }
    }

    /// Lists everything anew.
    pub(super) fn relist(&self) {
        self.relist.notify_one();
    }
}

/// One connection's task.
struct Line<N, F> {
    contact: Contact,
    keeper: Keeper,
    timing: Timing,
    heard: mpsc::Sender<N>,
    tell: F,
}

/// Why the watches of a connection ended.
enum Ended {
    /// They are begun anew, with the same token.
    Relist,
    /// The Secret holds another token.
    Token,
    /// The token was renewed, and the Secret holds the new one.
    Renewed,
    /// The importer does not listen any more.
    Done,
}

impl<N, F> Line<N, F>
where
    N: Send + 'static,
    F: Fn(OutboxNews) -> N + Clone + Send + Sync + 'static,
{
    async fn run(self, relist: Arc<Notify>) {
        let mut wait = self.timing.retry;
        let mut is_first = true;
        let mut renewed = None;
        loop {
            let (client, credentials) = match self.client().await {
                Ok(made) => made,
                Err(failure) => {
                    if !self.say(OutboxNews::Failing(Some(failure))).await {
                        return;
                    }
                    sleep(wait).await;
                    wait = (wait * 2).min(self.timing.retry * 30);
                    continue;
                }
            };
            wait = self.timing.retry;
            loop {
                if !is_first && !self.say(OutboxNews::Restarted).await {
                    return;
                }
                is_first = false;
                match self.watch(&client, &credentials, renewed, &relist).await {
                    Ended::Relist => {}
                    Ended::Token => {
                        renewed = None;
                        break;
                    }
                    Ended::Renewed => {
                        renewed = Some(Instant::now());
                        break;
                    }
                    Ended::Done => return,
                }
            }
        }
    }

    async fn say(&self, news: OutboxNews) -> bool {
        self.heard.send((self.tell)(news)).await.is_ok()
    }

    /// A client with the token that there is now.
    async fn client(&self) -> Result<(Client, Credentials), Failure> {
        let unauthorized = |why: String| Failure::Unauthorized(why.into());
        let credentials = self.keeper.read().await.map_err(|why| unauthorized(why.to_string()))?;
        let ca = match &self.contact.ca_bundle {
            None => None,
            Some(text) => {
                let text: String = text.split_whitespace().collect();
                let ByteString(pem) = serde_json::from_value(json!(text))
                    .map_err(|why| unauthorized(format!("spec.caBundle is not base64: {why}")))?;
                Some(pem)
            }
        };
        let given =
            Given { server: self.contact.server.clone(), ca, token: credentials.token.clone() };
        let options = client::Options {
            given: Some(given),
            timeouts: client::Timeouts::default().divided_by(self.timing.divisor),
            ..client::Options::default()
        };
        let client = Client::new(options).await.map_err(|why| unauthorized(why.to_string()))?;
        Ok((client, credentials))
    }

    /// Watches until something ends that.
    async fn watch(
        &self,
        client: &Client,
        credentials: &Credentials,
        renewed: Option<Instant>,
        relist: &Notify,
    ) -> Ended {
        let limits = Limits::default().divided_by(self.timing.divisor);
        // Every cluster that is joined costs: a Lease that is silent is asked for again soon.
        let lease = Limits { silence: DEAF / self.timing.divisor, ..limits.clone() };
        let mut tasks = JoinSet::new();
        let watches = Watches { client, limits: &limits, heard: &self.heard };
        let tell = self.tell.clone();
        let services = watches.begin::<ExportedService>(Default::default(), &mut tasks, {
            let tell = tell.clone();
            move |batch| tell(OutboxNews::Services(batch))
        });
        let slices = watches.begin::<OutboxSlice>(Default::default(), &mut tasks, {
            let tell = tell.clone();
            move |batch| tell(OutboxNews::Slices(batch))
        });
        let beats = Watches { limits: &lease, ..watches };
        let beats = beats.begin::<Heartbeat>(named(HEARTBEAT), &mut tasks, move |batch| {
            tell(OutboxNews::Heartbeat(last(batch)))
        });
        let kinds = Kinds::new(importer_account(&self.keeper.own), [services, slices, beats]);
        let renew_at = match renewed {
            Some(renewed) => renewed + Keeper::rests(credentials, true),
            None => Instant::now() + Keeper::rests(credentials, false),
        };
        self.attend(client, credentials, renew_at, kinds, relist).await
    }

    /// Says when the watches fail, and keeps the token young, until something ends that.
    async fn attend(
        &self,
        client: &Client,
        credentials: &Credentials,
        mut renew_at: Instant,
        mut kinds: Kinds,
        relist: &Notify,
    ) -> Ended {
        let Timing { credentials: interval, retry, rights, divisor, .. } = self.timing;
        let asking = client.with_deadline(self.timing.request);
        // What was said before is of another connection.
        let mut said: Option<Option<Failure>> = None;
        let mut look_at = Instant::now() + interval;
        let mut ask_at = Instant::now() + rights;
        loop {
            tokio::select! {
                () = relist.notified() => return Ended::Relist,
                () = sleep(LOOK / divisor) => {}
                is_admitted = kinds.answered() => if is_admitted {
                    return Ended::Relist;
                },
                () = sleep_until(renew_at.into()) => {
                    match self.keeper.renew(client).await {
                        Ok(()) => return Ended::Renewed,
                        Err(why) => self.keeper.not_renewed(&why),
                    }
                    renew_at = Instant::now() + retry * 60;
                }
            }
            let failing = kinds.failing();
            let is_refused = matches!(failing, Some(Failure::Unauthorized(_)));
            let is_known = failing.is_some() || kinds.are_heard();
            if is_known && said.as_ref() != Some(&failing) {
                if !self.say(OutboxNews::Failing(failing.clone())).await {
                    return Ended::Done;
                }
                said = Some(failing);
            }
            let now = Instant::now();
            if now >= ask_at {
                kinds.ask(&asking);
                ask_at = now + if kinds.is_refused() { retry } else { rights };
            }
            let due = if is_refused { look_at.min(now + interval / 30) } else { look_at };
            if now >= due {
                look_at = now + if is_refused { interval / 30 } else { interval };
                if self.keeper.read().await.is_ok_and(|now| now.token != credentials.token) {
                    return Ended::Token;
                }
            }
        }
    }
}

/// The Lease as a batch leaves it.
pub(super) fn last(batch: Batch<Heartbeat>) -> Option<Heartbeat> {
    batch.changes.into_iter().fold(None, |last, change| match change {
        Change::Put(heartbeat) => Some(heartbeat),
        Change::Remove(ObjectRef { .. }) => None,
        Change::Rejected { .. } => last,
    })
}
