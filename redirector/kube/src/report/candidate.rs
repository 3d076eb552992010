//! Stands for election to any Lease, with the same rules as the reporter: for others than agents.

use std::{sync::Arc, time::Instant};

use k8s_openapi::api::coordination::v1::Lease;
use redirector_core::Moment;
use tokio::sync::watch;
use tracing::{info, warn};

use super::{
    election::{Action, Election},
    lease::Post,
    timing::Timing,
    wire::wall,
};
use crate::client::Client;

/// One that stands for election.
#[derive(Debug)]
pub struct Candidate {
    client: Client,
    namespace: Arc<str>,
    name: Arc<str>,
    holder: Arc<str>,
    timing: Timing,
    origin: Instant,
    standing: watch::Sender<Standing>,
}

/// What the election has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Until when this candidate leads, by its own clock; `None`: it does not.
    pub leads_until: Option<Instant>,
    /// How often it became the leader.
    pub term: u64,
}

impl Standing {
    /// Whether the candidate leads now.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.leads_until.is_some_and(|until| Instant::now() < until)
    }
}

impl Candidate {
    /// A candidate for the Lease of that name and namespace; no other one may be called `holder`.
    /// Nothing is sent before [`Candidate::stand`].
    #[must_use]
    pub fn new(
        client: &Client,
        namespace: &str,
        name: &str,
        holder: &str,
        timing: Timing,
    ) -> Arc<Self> {
        Arc::new(Self {
            client: client.with_deadline(timing.request),
            namespace: namespace.into(),
            name: name.into(),
            holder: holder.into(),
            timing,
            origin: Instant::now(),
            standing: watch::Sender::default(),
        })
    }

    /// What the election has come to, as it changes. A term that is over says so itself by
    /// [`Standing::leads`]: nothing has to be heard for that.
    #[must_use]
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// Stands until `ended` says true; a Lease that is held is then given back, so that another
    /// candidate need not wait for it to run out.
    pub async fn stand(&self, mut ended: watch::Receiver<bool>) {
        let mut election = Election::new(Arc::clone(&self.holder), self.timing.clone());
        let mut lease = None;
        let mut is_failing = false;
        let post = self.post();
        while !*ended.borrow_and_update() {
            let now = || Moment(self.origin.elapsed());
            match election.next(now(), wall()) {
                Action::Wait(until) => {
                    tokio::select! {
                        () = tokio::time::sleep_until((self.origin + until.0).into()) => {}
                        // A sender that is gone says no more.
                        changed = ended.changed() => if changed.is_err() { break },
                    }
                }
                asked => {
                    let done = post.act(asked, &mut election, &mut lease, now).await;
                    match &done {
                        Err((what, error)) if !is_failing => {
                            warn!(lease = %self.name, %error, "{what}; it is tried again and again");
                        }
                        _ => {}
                    }
                    is_failing = done.is_err();
                }
            }
            self.tell(election.leads_until());
        }
        let leads = self.standing.borrow().leads();
        self.standing.send_modify(|standing| standing.leads_until = None);
        if leads {
            self.give_back(lease).await;
        }
    }

    async fn give_back(&self, lease: Option<Lease>) {
        let Some(lease) = lease else { return };
        match self.post().release(lease).await {
            Ok(()) => info!(lease = %self.name, "gives the Lease back"),
            Err(error) => info!(lease = %self.name, %error, "the Lease runs out by itself"),
        }
    }

    fn post(&self) -> Post<'_> {
        Post {
            client: &self.client,
            namespace: &self.namespace,
            name: &self.name,
            holder: &self.holder,
            timing: &self.timing,
            owner: None,
        }
    }

    fn tell(&self, until: Moment) {
        let until = self.origin + until.0;
        let leads = Instant::now() < until;
        let before = *self.standing.borrow();
        if leads && !before.leads() {
            info!(lease = %self.name, "leads from now on");
        } else if before.leads_until.is_some() && !leads {
            info!(lease = %self.name, "does not lead any more");
        }
        self.standing.send_if_modified(|standing| {
            let term = standing.term + u64::from(leads && !before.leads());
            let new = Standing { leads_until: leads.then_some(until), term };
            std::mem::replace(standing, new) != new
        });
    }
}
