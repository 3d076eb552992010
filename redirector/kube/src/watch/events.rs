//! What one line of a watch says.

use http::StatusCode;
use kube::core::Status;
use tracing::debug;

use super::{
    Stats,
    cache::{ObjectCache, change},
    envelope::{Beginning, Event, Head, bookmark},
    version::Version,
};
use crate::{
    api::{Change, Object},
    client::{Error, read_status, retry_after},
};

/// What has been heard of a kind.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// What has been said of each object.
    pub(super) cache: ObjectCache,
    /// Everything up to here has been heard.
    pub(super) version: Option<Version>,
}

/// What a line turned out to be.
#[derive(Debug)]
pub(super) enum Line<T> {
    Change(Change<T>),
    /// An event that was no news.
    Ignored,
    Bookmark,
    /// An event that is too long, whose beginning names no object. Only a list tells more.
    Unnamed,
}

impl Heard {
    /// Takes in one line.
    ///
    /// Errors: what the server says in an `ERROR` event, and [`Error::Malformed`] for an event that
    /// does not say which object it is about, so that only a relist can help.
    pub(super) fn line<T: Object>(&mut self, line: &[u8], stats: &Stats) -> Result<Line<T>, Error> {
        let line = String::from_utf8_lossy(line);
        let Event { kind, object } = serde_json::from_str(&line)
            .map_err(|why| Error::Malformed(format!("no event: {why}")))?;
        let is_put = match &*kind {
            "ADDED" | "MODIFIED" => true,
            "DELETED" => false,
            "BOOKMARK" => {
                self.advance(bookmark(object));
                return Ok(Line::Bookmark);
            }
            "ERROR" => return Err(error_event::<T>(&read_status(object.get().as_bytes()))),
            other => return Err(Error::Malformed(format!("an event of the type {other:.64?}"))),
        };
        let head = Head::read(object).map_err(Error::Malformed)?;
        Ok(self.apply(head, is_put, || T::decode(object.get().as_bytes()), stats))
    }

    /// Takes in an event that is too long to be read, of that length. Its object keeps its last
    /// version: to list again would bring the same one, at each of its changes, while all others wait.
    pub(super) fn too_long<T: Object>(
        &mut self,
        beginning: &[u8],
        length: usize,
        limit: usize,
        stats: &Stats,
    ) -> Line<T> {
        let beginning = Beginning::read(beginning);
        let Some(head) = beginning.head() else { return Line::Unnamed };
        let why = || Err(format!("too long to be read: {length} bytes, of at most {limit}"));
        self.apply(head, beginning.kind != "DELETED", why, stats)
    }

    /// Takes in what an event says of one object.
    fn apply<T: Object>(
        &mut self,
        head: Head,
        is_put: bool,
        decode: impl FnOnce() -> Result<T, String>,
        stats: &Stats,
    ) -> Line<T> {
        let is_news = if is_put {
            self.cache.put(&head, self.version.as_ref())
        } else {
            self.cache.remove(&head)
        };
        self.advance(head.version);
        let object = head.object;
        if !is_news {
            debug!(kind = T::KIND, %object, "an event that is no news is ignored");
            return Line::Ignored;
        }
        if !is_put {
            return Line::Change(Change::Remove(object));
        }
        let change = change(object, decode());
        if matches!(change, Change::Rejected { .. }) {
            stats.note(|now| now.rejected += 1);
        }
        Line::Change(change)
    }

    /// Moves the version on, never back: a replica that is behind repeats what is long known.
    fn advance(&mut self, version: Option<Version>) {
        let Some(version) = version else { return };
        if !self.version.as_ref().is_some_and(|before| version.is_older_than(before)) {
            self.version = Some(version);
        }
    }
}

fn error_event<T: Object>(status: &Status) -> Error {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Error::of_status(code, T::PATH, retry_after(status), status)
}
