//! What is known of each kind of an outbox: whether its watch has news, and whether it may still be read.
//!
//! An API server asks who may read when a watch begins, and lets it live for minutes after the right is
//! taken away. So one kind after the other is also listed, of one name: that is refused at once.

use std::sync::Arc;

use redirector_kube::{
    api::Object,
    client::{Client, Error, ErrorKind},
    watch::Stats,
};
use tokio::task::JoinSet;

use crate::{
    api::{ExportedService, HEARTBEAT, Heartbeat, OUTBOX, OutboxSlice},
    import::Failure,
};

/// A kind, and what its watch does.
#[derive(Debug)]
struct Kind {
    plural: &'static str,
    path: &'static str,
    stats: Arc<Stats>,
    /// Why the last question was refused; an answer ends that.
    refused: Option<(ErrorKind, Arc<str>)>,
}

/// The kinds of one outbox.
#[derive(Debug)]
pub(super) struct Kinds {
    each: [Kind; 3],
    /// Which one is asked for next.
    next: usize,
    /// The account there that needs the rights.
    account: String,
    asking: JoinSet<(usize, Result<(), Error>)>,
}

impl Kinds {
    /// The kinds, with their watches in this order: ExportedServices, slices, the Lease.
    pub(super) fn new(account: String, watches: [Arc<Stats>; 3]) -> Self {
        let [services, slices, lease] = watches;
        let kind = |plural, path, stats| Kind { plural, path, stats, refused: None };
        let each = [
            kind("exportedservices", ExportedService::PATH, services),
            kind("endpointslices", OutboxSlice::PATH, slices),
            kind("leases", Heartbeat::PATH, lease),
        ];
        Self { each, next: 0, account, asking: JoinSet::new() }
    }

    /// Whether the server has said something useful of every kind.
    pub(super) fn are_heard(&self) -> bool {
        self.each.iter().all(|kind| kind.stats.snapshot().last_success.is_some())
    }

    /// Whether the last question for a kind was refused.
    pub(super) fn is_refused(&self) -> bool {
        self.each.iter().any(|kind| kind.refused.is_some())
    }

    /// Asks for the next kind, unless a question is under way: for one that is refused, while there is one.
    pub(super) fn ask(&mut self, client: &Client) {
        if !self.asking.is_empty() {
            return;
        }
        let refused = self.each.iter().position(|kind| kind.refused.is_some());
        let number = refused.unwrap_or(self.next);
        self.next = (number + 1) % self.each.len();
        // Of one name, and from the server's cache: it costs the server next to nothing.
        let name = format!("fieldSelector=metadata.name%3D{HEARTBEAT}&resourceVersion=0");
        let (client, path) = (client.clone(), format!("{}?{name}", self.each[number].path));
        self.asking.spawn(async move { (number, client.get(&path).await.map(drop)) });
    }

    /// Waits for an answer, for ever if nothing was asked. May be dropped at any time. Returns whether a
    /// kind is admitted again whose watch waits longer and longer between its attempts.
    pub(super) async fn answered(&mut self) -> bool {
        let Some(answered) = self.asking.join_next().await else {
            return std::future::pending().await;
        };
        let (number, answer) = match answered {
            Ok(answered) => answered,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        let kind = &mut self.each[number];
        match answer {
            Ok(()) => {
                let was_refused = kind.refused.take().is_some();
                was_refused && kind.stats.snapshot().failing.is_some()
            }
            Err(error) if is_refusal(error.kind()) => {
                kind.refused = Some((error.kind(), error.to_string().into()));
                false
            }
            // What else goes wrong the watch says, if it is the watch's trouble too.
            Err(_) => false,
        }
    }

    /// Why there is no news: that a kind is refused counts more than that another is not answered.
    pub(super) fn failing(&self) -> Option<Failure> {
        let each = self.each.iter().filter_map(|kind| {
            let failing = kind.refused.clone().or_else(|| kind.stats.snapshot().failing);
            failing.map(|(error, why)| self.failure(kind.plural, error, &why))
        });
        each.max_by_key(|failure| matches!(failure, Failure::Unauthorized(_)))
    }

    fn failure(&self, plural: &str, error: ErrorKind, why: &str) -> Failure {
        let account = &self.account;
        match error {
            ErrorKind::Forbidden => Failure::Unauthorized(
                format!(
                    "{plural} in {OUTBOX} may not be read (403): account {OUTBOX}/{account} there needs get, \
                     list and watch of exportedservices, endpointslices and leases"
                )
                .into(),
            ),
            ErrorKind::Unauthorized => {
                Failure::Unauthorized(format!("{plural} in {OUTBOX}: {why}").into())
            }
            ErrorKind::NotFound => Failure::Unreachable(
                format!(
                    "its API server knows no {plural} (404); apply the definitions of deploy/crd there"
                )
                .into(),
            ),
            _ => Failure::Unreachable(format!("{plural} in {OUTBOX}: {why}").into()),
        }
    }
}

/// Whether the server will answer the same until an operator acts.
fn is_refusal(error: ErrorKind) -> bool {
    matches!(error, ErrorKind::Unauthorized | ErrorKind::Forbidden | ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds() -> Kinds {
        Kinds::new("importer-east".to_owned(), Default::default())
    }

    #[test]
    fn a_refused_kind_is_named_with_the_rights_to_give_and_counts_more_than_one_without_an_answer()
    {
        let mut kinds = kinds();
        assert_eq!(kinds.failing(), None);
        kinds.each[2].refused = Some((ErrorKind::TimedOut, "no answer in 10s".into()));
        kinds.each[1].refused = Some((ErrorKind::Forbidden, "no".into()));
        let Some(Failure::Unauthorized(why)) = kinds.failing() else { panic!("{kinds:?}") };
        for part in ["endpointslices in redirector-exports", "importer-east", "get, list and watch"]
        {
            assert!(why.contains(part), "{why}");
        }
        kinds.each[1].refused = Some((ErrorKind::NotFound, "no".into()));
        kinds.each[2].refused = None;
        let Some(Failure::Unreachable(why)) = kinds.failing() else { panic!("{kinds:?}") };
        assert!(why.contains("no endpointslices (404)") && why.contains("deploy/crd"), "{why}");
    }

    #[test]
    fn an_error_that_may_pass_is_no_refusal() {
        for kind in [ErrorKind::Server, ErrorKind::TooManyRequests, ErrorKind::TimedOut] {
            assert!(!is_refusal(kind), "{kind:?}");
        }
    }
}
