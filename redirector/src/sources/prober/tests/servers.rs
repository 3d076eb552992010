//! Servers to probe, well-behaved and wicked, one task for each connection.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use redirector_core::service::BackendRef;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
};

use super::loopback::socket_address;

/// A server that runs as long as this lives.
pub struct Server {
    _tasks: JoinSet<()>,
    connections: Arc<AtomicUsize>,
}

impl Server {
    /// Hands every connection to `serve`.
    pub async fn start<F: Future<Output = ()> + Send + 'static>(
        backend: BackendRef,
        serve: impl Fn(TcpStream) -> F + Send + 'static,
    ) -> Self {
        Self::on(socket_address(backend), serve).await
    }

    /// Does the same at any address.
    pub async fn on<F: Future<Output = ()> + Send + 'static>(
        address: SocketAddr,
        serve: impl Fn(TcpStream) -> F + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port of this test");
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut serving = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                counted.fetch_add(1, Ordering::Relaxed);
                serving.spawn(serve(stream));
            }
        });
        Self { _tasks: tasks, connections }
    }

    /// A server that reads the beginning of a question and then says `answer`, again and again if
    /// `is_endless`. How many bytes it got rid of is sent when the client has gone.
    pub async fn saying(
        backend: BackendRef,
        answer: impl Into<Vec<u8>>,
        is_endless: bool,
    ) -> (Self, mpsc::UnboundedReceiver<usize>) {
        let (sender, sent) = mpsc::unbounded_channel();
        let answer: Arc<[u8]> = answer.into().into();
        let server = Self::start(backend, move |stream| {
            let (sender, answer) = (sender.clone(), Arc::clone(&answer));
            async move {
                // The test may have ended.
                _ = sender.send(say(stream, &answer, is_endless).await);
            }
        });
        (server.await, sent)
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

/// Bytes written until the client, or the answer, was at its end.
async fn say(mut stream: TcpStream, answer: &[u8], is_endless: bool) -> usize {
    let mut written = 0;
    let talk: io::Result<()> = async {
        // The whole question: else the close would be a reset that destroys the answer.
        let mut question = [0; 1_024];
        _ = stream.read(&mut question).await?;
        loop {
            written += stream.write(&answer[written % answer.len()..]).await?;
            if !is_endless && written == answer.len() {
                stream.shutdown().await?;
                while stream.read(&mut question).await? > 0 {}
                return Ok(());
            }
        }
    }
    .await;
    // Every one of them ends by a reset of the prober.
    drop(talk);
    written
}
