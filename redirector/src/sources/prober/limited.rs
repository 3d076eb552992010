//! A connection of which only a little can be read, and which ends by a reset.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf, Take},
    net::TcpStream,
};

/// Bytes that are read of an answer, at most: heads, bodies and framing together.
pub(super) const MAX_READ: u16 = 4_096;

/// A stream that is at its end after [`MAX_READ`] bytes.
pub(super) struct LimitedStream(Take<TcpStream>);

impl LimitedStream {
    pub fn new(stream: TcpStream) -> Self {
        Self(stream.take(MAX_READ.into()))
    }

    /// Whether nothing more can be read, whatever else the peer says.
    pub fn is_all_read(&self) -> bool {
        self.0.limit() == 0
    }
}

impl AsyncRead for LimitedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for LimitedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.0.get_mut()).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.0.get_mut()).poll_flush(context)
    }

    /// Does nothing: the side that says the end first has a socket in `TIME_WAIT` for a minute, and
    /// its port with it. The reset on close is said instead.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
