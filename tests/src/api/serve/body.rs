//! Bodies of answers: made at once, or a stream that a task feeds.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::{sync::mpsc, time::sleep};

/// How many chunks a stream may be ahead of its reader.
const AHEAD: usize = 64;

/// Feeds a streamed body. An error cuts the connection.
pub(crate) type Feed = mpsc::Sender<io::Result<Bytes>>;

#[derive(Debug)]
pub(crate) enum Body {
    Whole(Option<Bytes>),
    Stream(mpsc::Receiver<io::Result<Bytes>>),
}

impl Body {
    pub fn stream() -> (Feed, Self) {
        let (feed, chunks) = mpsc::channel(AHEAD);
        (feed, Self::Stream(chunks))
    }

    /// The first half, after which the connection is cut. A stream stays whole.
    pub fn halved(self) -> Self {
        let Self::Whole(Some(bytes)) = self else { return self };
        let (feed, body) = Self::stream();
        tokio::spawn(async move {
            // Its receiver may be gone: then there is nothing to cut.
            let _ = feed.send(Ok(bytes.slice(..bytes.len() / 2))).await;
            cut(&feed).await;
        });
        body
    }
}

/// Ends a stream by an error. What was sent before gets through.
pub(crate) async fn cut(feed: &Feed) {
    // hyper drops what it has not flushed when a body fails.
    sleep(Duration::from_millis(20)).await;
    let _ = feed.send(Err(io::Error::other("cut by a test"))).await;
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::Whole(Some(bytes))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(chunks) => {
                chunks.poll_recv(context).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Stream(_) => SizeHint::default(),
        }
    }
}
