//! An API server whose every byte a script decides; what no script decides it does as it should.
//! Scripts assert where they like: what one expected in vain is kept until [`Server::ended`].

use std::{
    any::Any,
    io,
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use nix::sys::socket::{setsockopt, sockopt};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    time::{Duration, Instant, sleep},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    state::{On, Part, Request, ServerState, end, head, line, ok, refusal},
    tls::PKI,
};

/// The server; its tasks end with the runtime of the test.
#[derive(Clone)]
pub struct Server {
    state: Arc<Mutex<ServerState>>,
    changed: watch::Sender<()>,
    is_tls: bool,
}

trait Both: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Both for S {}

/// An address on which no socket listens yet.
pub fn bind() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("an address");
    let address = socket.local_addr().expect("its address");
    (socket, address)
}

impl Server {
    pub fn new(state: ServerState, is_tls: bool) -> Self {
        let (changed, _) = watch::channel(());
        Self { state: Arc::new(Mutex::new(state)), changed, is_tls }
    }

    /// Begins to listen.
    pub fn listen(&self, socket: TcpSocket) {
        let listener = socket.listen(64).expect("listening");
        tokio::spawn(self.clone().accept(listener));
    }

    pub fn state(&self) -> MutexGuard<'_, ServerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state; a watch that is served honestly hears of it.
    pub fn change(&self, change: impl FnOnce(&mut ServerState)) {
        change(&mut self.state());
        self.changed.send_replace(());
    }

    /// Waits until the last connection has been left by the client, which must have been dropped;
    /// what the script expected in vain.
    pub async fn ended(&self) -> Vec<String> {
        let deadline = Instant::now() + Duration::from_secs(15);
        while self.state().connections > 0 {
            assert!(Instant::now() < deadline, "the client has been dropped and stays connected");
            sleep(Duration::from_millis(5)).await;
        }
        self.state().disappointed.clone()
    }

    async fn accept(self, listener: TcpListener) {
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            self.state().connections += 1;
            let server = self.clone();
            tokio::spawn(async move {
                let serving = server.clone();
                // The client may go at any time.
                let task = tokio::spawn(async move { drop(serving.serve(stream).await) });
                let panicked = task.await.err().map(|error| said(error.into_panic()));
                let mut state = server.state();
                state.disappointed.extend(panicked);
                state.connections -= 1;
            });
        }
    }

    /// The step for this, if it is due; another one that is due waits for its turn.
    fn step(&self, on: On, request: &Request) -> Option<Vec<Part>> {
        let mut state = self.state();
        let (due, _) = state.steps.front()?;
        if *due != on {
            return None;
        }
        let (_, act) = state.steps.pop_front()?;
        let parts = act(&mut state, request);
        drop(state);
        self.changed.send_replace(());
        Some(parts)
    }

    async fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        let nobody = Request { path: String::new(), head: String::new(), body: String::new() };
        match self.step(On::Connect, &nobody).unwrap_or_default().first() {
            None => {}
            Some(Part::Hang) => return hang(&mut stream).await,
            Some(Part::Reset) => return reset(&stream),
            Some(Part::Close) => return Ok(()),
            Some(other) => panic!("{other:?} is for requests"),
        }
        let identity = self.state().identity;
        let socket = nix::unistd::dup(&stream)?;
        let stream: Box<dyn Both> = if self.is_tls {
            Box::new(TlsAcceptor::from(PKI.server(identity)).accept(stream).await?)
        } else {
            Box::new(stream)
        };
        self.requests(stream, socket).await
    }

    async fn requests(&self, mut stream: Box<dyn Both>, socket: OwnedFd) -> io::Result<()> {
        while let Some(request) = read(&mut stream).await? {
            let on = match () {
                () if request.path.contains("watch=1") => On::Watch,
                () if request.path.contains("continue=") => On::Page,
                () => On::List,
            };
            self.state().lists += usize::from(on == On::List);
            let token = self.state().token;
            let parts = match token {
                Some(token) if !request.has_token(token) => refusal(401, "", "expired"),
                _ => self.step(on, &request).unwrap_or_else(|| vec![Part::Honest]),
            };
            for part in parts {
                match part {
                    Part::Send(bytes) => {
                        stream.write_all(&bytes).await?;
                        stream.flush().await?;
                    }
                    Part::Pause(millis) => sleep(Duration::from_millis(millis)).await,
                    Part::Hang => return hang(&mut stream).await,
                    Part::Close => return stream.shutdown().await,
                    Part::Reset => return reset(&socket),
                    Part::Honest => self.honest(&mut stream, on, &request, true).await?,
                    Part::Replay => self.honest(&mut stream, on, &request, false).await?,
                }
            }
        }
        Ok(())
    }

    async fn honest(
        &self,
        stream: &mut Box<dyn Both>,
        on: On,
        request: &Request,
        is_lasting: bool,
    ) -> io::Result<()> {
        let mut changed = self.changed.subscribe();
        if on != On::Watch {
            let answer = ok(&self.state().list());
            return send(stream, answer).await;
        }
        let asked = request.path.split("resourceVersion=").nth(1).unwrap_or_default();
        let digits: String = asked.chars().take_while(char::is_ascii_digit).collect();
        let Ok(mut from) = digits.parse::<u64>() else {
            return send(stream, refusal(400, "", "no resourceVersion").remove(0)).await;
        };
        send(stream, head()).await?;
        loop {
            let news: Vec<(u64, String)> = {
                let state = self.state();
                state.history.iter().filter(|(version, _)| *version > from).cloned().collect()
            };
            for (version, event) in news {
                from = version;
                send(stream, line(&event)).await?;
            }
            if !is_lasting {
                return send(stream, end()).await;
            }
            let mut byte = [0];
            tokio::select! {
                change = changed.changed() => change.expect("the server lives"),
                _ = stream.read(&mut byte) => return Ok(()),
            }
        }
    }
}

/// The message of a panic.
fn said(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => panic.downcast_ref::<&str>().map_or_else(String::new, ToString::to_string),
    }
}

async fn send(stream: &mut Box<dyn Both>, part: Part) -> io::Result<()> {
    let Part::Send(bytes) = part else { panic!("{part:?} is nothing to send") };
    stream.write_all(&bytes).await?;
    stream.flush().await
}

/// One request; none when the client has closed.
async fn read(stream: &mut Box<dyn Both>) -> io::Result<Option<Request>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).await? == 0 {
            return Ok(None);
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("our requests are text");
    let path = head.split(' ').nth(1).expect("a path").to_owned();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().expect("a length"))];
    stream.read_exact(&mut body).await?;
    let body = String::from_utf8(body).expect("our objects are text");
    Ok(Some(Request { path, head, body }))
}

async fn hang(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let mut byte = [0; 64];
    while stream.read(&mut byte).await? > 0 {}
    Ok(())
}

/// What is closed after this is closed by RST.
fn reset(socket: &impl AsFd) -> io::Result<()> {
    let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
    Ok(setsockopt(socket, sockopt::Linger, &linger)?)
}
