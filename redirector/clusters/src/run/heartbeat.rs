//! The Lease in the outbox: who renews it when, and with which manifest.
//!
//! The leader writes the manifest when what it says is in the outbox, and renews it every second. Another
//! replica renews it when it has not been renewed for 1.5 s, if its own watches come to the same digest:
//! it never says anything of its own.

use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use redirector_kube::client::{Client, Error};
use serde_json::{Value, json};

use crate::api::{HEARTBEAT, Heartbeat, Manifest, OUTBOX};

/// What is known of the Lease.
#[derive(Debug)]
pub(super) struct Beats {
    beat: Duration,
    stand_in: Duration,
    /// The Lease as it was last seen, or written.
    seen: Seen,
    /// When it became so, by the own clock.
    since: Instant,
    /// Not before this after a failure.
    not_before: Option<Instant>,
}

#[derive(Clone, Debug, Default)]
enum Seen {
    #[default]
    Unknown,
    Absent,
    Present {
        version: String,
        manifest: Option<Box<Manifest>>,
    },
}

/// A renewal that is due.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Renewal {
    over: Option<String>,
    manifest: Manifest,
}

impl Beats {
    pub(super) fn new(beat: Duration, stand_in: Duration) -> Self {
        Self { beat, stand_in, seen: Seen::default(), since: Instant::now(), not_before: None }
    }

    /// What the watch says; a version that is known is no beat.
    pub(super) fn heard(&mut self, heartbeat: Option<&Heartbeat>, now: Instant) {
        if let (Some(Heartbeat { version, .. }), Seen::Present { version: known, .. }) =
            (heartbeat, &self.seen)
            && is_old(version, known)
        {
            return;
        }
        self.looked(heartbeat, now);
    }

    /// The watch has begun and has said nothing: there is no Lease.
    pub(super) fn heard_nothing(&mut self, now: Instant) {
        if matches!(self.seen, Seen::Unknown) {
            self.looked(None, now);
        }
    }

    /// What the API server has, after a write over another version was refused: it holds, however old its
    /// version. Returns whether it is older than what was known: then a backup was restored, and nothing
    /// that was heard before need be so.
    pub(super) fn looked(&mut self, heartbeat: Option<&Heartbeat>, now: Instant) -> bool {
        let is_restored = match (heartbeat, &self.seen) {
            (Some(Heartbeat { version, .. }), Seen::Present { version: known, .. }) => {
                &**version != known && is_old(version, known)
            }
            _ => false,
        };
        let new = match heartbeat {
            None => Seen::Absent,
            Some(Heartbeat { version, manifest, .. }) => {
                let manifest = manifest.as_ref().ok();
                let manifest = manifest.map(|manifest| Box::new(Manifest::clone(manifest)));
                Seen::Present { version: version.to_string(), manifest }
            }
        };
        self.since = now;
        self.seen = new;
        is_restored
    }

    /// Whether it is known if there is a Lease.
    pub(super) fn is_known(&self) -> bool {
        !matches!(self.seen, Seen::Unknown)
    }

    /// What is due: of the leader. `content` is the manifest of what is in the outbox; `None`: something
    /// is being written, so the last one holds.
    pub(super) fn leader(&self, content: Option<Manifest>, now: Instant) -> Option<Renewal> {
        let (over, old) = self.known()?;
        let is_due = now >= self.since + self.beat;
        let manifest = match (content, old) {
            (Some(content), Some(old)) if *old == content && !is_due => return None,
            (Some(content), _) => content,
            (None, Some(old)) if is_due => old.clone(),
            (None, _) => return None,
        };
        self.renewal(over, manifest, now)
    }

    /// What is due: of another replica, whose own watches come to that manifest.
    pub(super) fn other(&self, own: &Manifest, now: Instant) -> Option<Renewal> {
        let (over, old) = self.known()?;
        let old = old.filter(|old| old.digest == own.digest && old.cluster == own.cluster)?;
        if now < self.since + self.stand_in {
            return None;
        }
        self.renewal(over, old.clone(), now)
    }

    /// When something may be due next, if nothing is heard.
    pub(super) fn next(&self, leads: bool) -> Instant {
        let next = self.since + if leads { self.beat } else { self.stand_in };
        self.not_before.map_or(next, |not_before| next.max(not_before))
    }

    /// What became of a renewal.
    pub(super) fn renewed(
        &mut self,
        renewal: &Renewal,
        answer: &Result<String, Error>,
        now: Instant,
    ) {
        match answer {
            Ok(version) => {
                let manifest = Some(Box::new(renewal.manifest.clone()));
                self.seen = Seen::Present { version: version.clone(), manifest };
                self.since = now;
                self.not_before = None;
            }
            // The watch, or a look, says what there is now.
            Err(_) => self.not_before = Some(now + self.beat / 5),
        }
    }

    fn known(&self) -> Option<(Option<String>, Option<&Manifest>)> {
        match &self.seen {
            Seen::Unknown => None,
            Seen::Absent => Some((None, None)),
            Seen::Present { version, manifest } => {
                Some((Some(version.clone()), manifest.as_deref()))
            }
        }
    }

    fn renewal(&self, over: Option<String>, manifest: Manifest, now: Instant) -> Option<Renewal> {
        let is_early = self.not_before.is_some_and(|not_before| now < not_before);
        (!is_early).then_some(Renewal { over, manifest })
    }
}

/// Whether a version is the known one, or certainly older.
fn is_old(version: &str, known: &str) -> bool {
    match (version.parse::<u128>(), known.parse::<u128>()) {
        (Ok(version), Ok(known)) => version <= known,
        _ => version == known,
    }
}

const COLLECTION: &str = "/apis/coordination.k8s.io/v1/namespaces/redirector-exports/leases";

/// Writes it. Returns the version that it has now.
pub(super) async fn renew(
    client: &Client,
    renewal: &Renewal,
    holder: &str,
) -> Result<String, Error> {
    let Renewal { over, manifest } = renewal;
    let now = Timestamp::now();
    let now = Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now);
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "namespace": OUTBOX, "name": HEARTBEAT,
            "resourceVersion": over, "annotations": manifest.annotations(),
        },
        "spec": {
            "holderIdentity": holder,
            "leaseDurationSeconds": 3,
            "renewTime": k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime(now),
        },
    });
    let answer = match over {
        None => client.post(COLLECTION, &lease).await?,
        Some(_) => client.put(&format!("{COLLECTION}/{HEARTBEAT}"), &lease).await?,
    };
    let lease: Value = answer.object()?;
    let version = lease["metadata"]["resourceVersion"].as_str();
    Ok(version.ok_or(Error::Malformed("a Lease without a version".to_owned()))?.to_owned())
}

/// Reads it, after a write over it was refused.
pub(super) async fn look(client: &Client) -> Result<Option<Heartbeat>, Error> {
    use redirector_kube::api::Object as _;

    match client.get(&format!("{COLLECTION}/{HEARTBEAT}")).await {
        Ok(answer) => Heartbeat::decode(&answer.body).map(Some).map_err(Error::Malformed),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const BEAT: Duration = Duration::from_secs(1);

    fn manifest(digest: &str) -> Manifest {
        Manifest { cluster: "east".into(), digest: digest.into(), ..Manifest::default() }
    }

    fn lease(version: &str, digest: &str) -> Heartbeat {
        let manifest = Ok(Arc::new(manifest(digest)));
        Heartbeat { version: version.into(), renewed: version.into(), manifest }
    }

    #[test]
    fn before_the_lease_has_been_seen_nothing_is_renewed() {
        let beats = Beats::new(BEAT, BEAT * 3 / 2);
        let late = Instant::now() + BEAT * 100;
        assert_eq!(beats.leader(Some(manifest("a")), late), None);
        assert_eq!(beats.other(&manifest("a"), late), None);
    }

    #[test]
    fn the_leader_says_new_content_at_once_and_old_content_every_second() {
        let start = Instant::now();
        let mut beats = Beats::new(BEAT, BEAT * 3 / 2);
        beats.heard(None, start);
        let first = beats.leader(Some(manifest("a")), start).expect("the first one");
        assert_eq!(first.over, None);
        assert_eq!(beats.leader(None, start + BEAT * 9), None, "of what there is nothing is known");
        beats.renewed(&first, &Ok("7".to_owned()), start);
        assert_eq!(beats.leader(Some(manifest("a")), start), None);
        assert_eq!(
            beats.leader(Some(manifest("b")), start).map(|one| one.manifest.digest),
            Some("b".into())
        );
        let later = beats.leader(None, start + BEAT).expect("a beat while something is written");
        assert_eq!((later.over.as_deref(), &*later.manifest.digest), (Some("7"), "a"));
        // Its own write, heard again, is no beat.
        beats.heard(Some(&lease("7", "a")), start + BEAT / 2);
        assert!(beats.leader(Some(manifest("a")), start + BEAT).is_some());
    }

    #[test]
    fn another_replica_stands_in_only_for_what_it_sees_itself() {
        let start = Instant::now();
        let mut beats = Beats::new(BEAT, BEAT * 3 / 2);
        beats.heard(Some(&lease("7", "a")), start);
        assert_eq!(beats.other(&manifest("a"), start + BEAT), None, "the leader is not late yet");
        let late = start + BEAT * 3 / 2;
        assert_eq!(beats.other(&manifest("b"), late), None, "it sees something else");
        let renewal = beats.other(&manifest("a"), late).expect("it stands in");
        beats.renewed(&renewal, &Err(Error::Gone(String::new())), late);
        assert_eq!(beats.other(&manifest("a"), late), None, "not at once again");
        beats.heard(Some(&lease("8", "a")), late);
        assert_eq!(beats.other(&manifest("a"), late + BEAT), None, "the leader was heard");
    }

    #[test]
    fn a_lease_that_is_older_than_what_was_known_is_that_of_a_backup() {
        let now = Instant::now();
        let mut beats = Beats::new(BEAT, BEAT * 3 / 2);
        beats.heard(Some(&lease("70", "a")), now);
        assert!(!beats.looked(Some(&lease("70", "a")), now));
        assert!(!beats.looked(Some(&lease("71", "a")), now), "another one has renewed it");
        beats.heard(Some(&lease("9", "a")), now);
        assert!(beats.looked(Some(&lease("9", "a")), now));
        let renewal = beats.leader(Some(manifest("a")), now + BEAT).expect("a beat");
        assert_eq!(renewal.over.as_deref(), Some("9"));
    }
}
