//! What is said of the outbox as a whole: the manifest, and the heartbeat that carries it.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use redirector_kube::{
    api::{Batch, Change},
    client::Error,
};
use tokio::task::JoinError;
use tracing::{info, warn};

use super::{
    super::heartbeat::{self, Renewal},
    Exporting, service_key,
};
use crate::api::{HEARTBEAT, Heartbeat, Manifest, OUTBOX, outbox_digest};

impl Exporting {
    pub(super) fn take_beats(&mut self, batch: Batch<Heartbeat>) {
        let now = Instant::now();
        self.is_new |= !self.beats.is_known();
        let is_empty = batch.changes.is_empty();
        for change in batch.changes {
            match change {
                Change::Put(heartbeat) => self.beats.heard(Some(&heartbeat), now),
                Change::Remove(_) => self.beats.heard(None, now),
                Change::Rejected { .. } => {}
            }
        }
        // The first list may say that there is none; later ones say so by a removal.
        if is_empty {
            self.beats.heard_nothing(now);
        }
    }

    pub(super) fn renew(&mut self, leads: bool, now: Instant) {
        if !self.renewing.is_empty() || !self.looking.is_empty() {
            return;
        }
        let cluster = &*self.options.identity.cluster;
        let renewal = if leads {
            let is_settled = self.writing.writer.is_settled();
            if !self.is_new && now < self.beats.next(true) {
                return;
            }
            self.is_new &= !is_settled;
            let content = is_settled.then(|| self.content());
            self.beats.leader(content, now)
        } else if now >= self.beats.next(false) {
            let own = self.exporter.manifest(cluster, self.epoch);
            self.beats.other(&own, now)
        } else {
            None
        };
        let Some(renewal) = renewal else { return };
        let client = self.options.client.with_deadline(self.options.timing.request);
        let pod = Arc::clone(&self.options.pod);
        let newest = self.options.newest.get();
        self.renewing.spawn(async move {
            let answer = heartbeat::renew(&client, &renewal, &pod).await;
            (renewal, newest, answer)
        });
    }

    /// The manifest of what is in the outbox: of a Service that cannot be written, what was written last,
    /// also where another writer, or the end of the definition, has taken that away.
    fn content(&mut self) -> Manifest {
        let cluster = &*self.options.identity.cluster;
        let unexported = self.unexported.stated(Instant::now());
        let writer = &self.writing.writer;
        if writer.backlog() == 0 {
            let exported = self.exporter.exported().values();
            self.published =
                exported.map(|one| (one.service.name.as_str().into(), one.fingerprint)).collect();
            return Manifest { unexported, ..self.exporter.manifest(cluster, self.epoch) };
        }
        for one in self.exporter.exported().values() {
            if writer.is_written(&service_key(&one.service.name)) {
                self.published.insert(one.service.name.as_str().into(), one.fingerprint);
            }
        }
        let exported = self.exporter.exported().values();
        let exported: BTreeSet<&str> = exported.map(|one| one.service.name.as_str()).collect();
        let is_there = |name: &str| writer.actual().contains_key(&service_key(name));
        self.published.retain(|name, _| exported.contains(&**name) || is_there(name));
        let digest = outbox_digest(self.published.values());
        let services = self.published.len();
        Manifest { digest, services, unexported, ..self.exporter.manifest(cluster, self.epoch) }
    }

    pub(super) fn renewed(
        &mut self,
        renewed: Result<(Renewal, u64, Result<String, Error>), JoinError>,
    ) {
        let (renewal, newest, answer) = match renewed {
            Ok(renewed) => renewed,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        self.beats.renewed(&renewal, &answer, Instant::now());
        self.is_new |= answer.is_err();
        match &answer {
            Ok(version) => {
                if self.options.newest.tells_a_backup(version, newest) {
                    self.restore();
                }
                self.options.newest.note(version);
                self.said_at = Some(Instant::now());
                if std::mem::take(&mut self.is_failing) {
                    info!("the heartbeat can be written again");
                }
            }
            Err(Error::Conflict { .. } | Error::NotFound { .. }) => {
                let client = self.options.client.with_deadline(self.options.timing.request);
                self.looking.spawn(async move { heartbeat::look(&client).await });
            }
            Err(_) => {}
        }
        if let Err(error) = &answer
            && !matches!(error, Error::Conflict { .. })
            && !std::mem::replace(&mut self.is_failing, true)
        {
            warn!(lease = %format_args!("{OUTBOX}/{HEARTBEAT}"), %error, "cannot write the heartbeat; without it other clusters take this one for silent");
        }
    }

    fn restore(&mut self) {
        warn!("the API server was restored from a backup; everything is listed anew");
        self.options.newest.forget();
        self.is_restored = true;
    }

    pub(super) fn looked(&mut self, looked: Result<Result<Option<Heartbeat>, Error>, JoinError>) {
        match looked {
            Ok(Ok(heartbeat)) => {
                if self.beats.looked(heartbeat.as_ref(), Instant::now()) {
                    self.restore();
                }
            }
            // It is tried again with the next beat.
            Ok(Err(_)) => {}
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
}
