//! Answers HTTP/1.1 to clients that may be hostile, within bounds of connections, time and memory.
//!
//! A connection carries one request. Where there are too many connections the peer that has the most
//! loses its oldest one: so one that asks now and then is answered, however many another one opens.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use axum::{Router, serve::Listener};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    task::{AbortHandle, Id, JoinSet},
    time::timeout,
};
use tracing::error;

/// What clients may cost.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Connections at once, of all peers.
    pub connections: usize,
    /// The longest time from the connection to the end of the request's headers.
    pub head: Duration,
    /// The longest time from the connection to its end.
    pub whole: Duration,
    /// Bytes of a request's headers; at least 8 KiB.
    pub buffer: usize,
}

/// Answers until the task is dropped. `peer` says whose connection it is, `router` what answers it.
pub async fn serve<L: Listener, P: Ord + Clone>(
    mut listener: L,
    bounds: Bounds,
    peer: impl Fn(&L::Addr) -> P,
    router: impl Fn(&L::Io) -> Router,
) {
    let mut tasks = JoinSet::new();
    let mut open = Open { of: BTreeMap::new(), begun: 0 };
    loop {
        let (stream, address) = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(ended) = tasks.join_next_with_id() => {
                open.end(&ended);
                continue;
            }
        };
        let service = TowerToHyperService::new(router(&stream));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(bounds.head)
            .max_buf_size(bounds.buffer)
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service);
        // How a client breaks off, or that it is too slow, is its own affair.
        let task = tasks.spawn(async move { drop(timeout(bounds.whole, connection).await) });
        open.begin(peer(&address), task);
        while tasks.len() > bounds.connections {
            open.give_up_one();
            if let Some(ended) = tasks.join_next_with_id().await {
                open.end(&ended);
            }
        }
    }
}

/// The connections of each peer, oldest first, with the order in which they began.
#[derive(Debug)]
struct Open<P> {
    of: BTreeMap<P, VecDeque<(u64, AbortHandle)>>,
    begun: u64,
}

impl<P: Ord + Clone> Open<P> {
    fn begin(&mut self, peer: P, task: AbortHandle) {
        self.of.entry(peer).or_default().push_back((self.begun, task));
        self.begun += 1;
    }

    fn end(&mut self, ended: &Result<(Id, ()), tokio::task::JoinError>) {
        let id = match ended {
            Ok((id, ())) => *id,
            Err(why) => {
                if why.is_panic() {
                    error!(%why, "answering a request ended by a panic");
                }
                why.id()
            }
        };
        self.of.retain(|_, tasks| {
            tasks.retain(|(_, task)| task.id() != id);
            !tasks.is_empty()
        });
    }

    /// Gives up the oldest one of the peer with the most; of several such peers, of all the oldest.
    fn give_up_one(&mut self) {
        let oldest = |tasks: &VecDeque<(u64, AbortHandle)>| tasks.front().map(|(order, _)| *order);
        let most = self.of.values().max_by_key(|tasks| (tasks.len(), Reverse(oldest(tasks))));
        if let Some((_, task)) = most.and_then(VecDeque::front) {
            task.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::{Ipv4Addr, SocketAddr, TcpStream},
        time::Instant,
    };

    use axum::routing::get;
    use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, SockaddrIn};

    use super::*;

    const BOUNDS: Bounds = Bounds {
        connections: 8,
        head: Duration::from_millis(300),
        whole: Duration::from_secs(1),
        buffer: 8 << 10,
    };
    const SOON: Duration = Duration::from_secs(5);

    #[test]
    fn a_peer_is_answered_beside_one_that_opens_connections_without_end() {
        let (_runtime, server) = start(BOUNDS);
        let crowd: Vec<_> = (0..100).map(|_| connect([127, 0, 0, 2], server)).collect();
        for _ in 0..3 {
            let mut client = connect([127, 0, 0, 3], server);
            let one = ask(&mut client);
            // Also from the very peer: it is its oldest that goes.
            let mut client = connect([127, 0, 0, 2], server);
            assert_eq!([one, ask(&mut client)], ["yes", "yes"]);
        }
        let living = crowd.iter().filter(|stream| is_open(stream)).count();
        assert!(living <= BOUNDS.connections, "{living} connections are held");
    }

    #[test]
    fn the_peer_with_one_connection_keeps_it_while_another_opens_many() {
        let (_runtime, server) = start(Bounds { head: SOON, whole: SOON, ..BOUNDS });
        let slow = connect([127, 0, 0, 3], server);
        let crowd: Vec<_> = (0..100).map(|_| connect([127, 0, 0, 2], server)).collect();
        let mut last = connect([127, 0, 0, 4], server);
        assert_eq!(ask(&mut last), "yes", "all before it have been taken in");
        assert!(is_open(&slow));
        assert!(!is_open(&crowd[0]));
    }

    #[test]
    fn neither_silence_nor_a_trickle_nor_an_answer_that_is_not_read_holds_a_connection() {
        let (_runtime, server) = start(BOUNDS);
        let silent = connect([127, 0, 0, 2], server);
        let mut trickle = connect([127, 0, 0, 3], server);
        let mut deaf = connect([127, 0, 0, 4], server);
        deaf.write_all(b"GET /much HTTP/1.1\r\n\r\n").expect("a request");
        let begin = Instant::now();
        trickle.write_all(b"GET / HTTP/1.1\r\nx: ").expect("half a request");
        while is_open(&silent) || is_open(&trickle) {
            assert!(begin.elapsed() < SOON, "held for {SOON:?}");
            // An error tells that it is closed, as `is_open` will.
            let _ = trickle.write_all(b"x");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(begin.elapsed() >= BOUNDS.head, "cut off after {:?}", begin.elapsed());
        std::thread::sleep(BOUNDS.whole.saturating_sub(begin.elapsed()));
        let mut rest = Vec::new();
        // Cut off before its end, by whatever means.
        let _ = deaf.read_to_end(&mut rest);
        assert!(rest.len() < MUCH, "an answer waited {:?} for its reader", BOUNDS.whole);
    }

    /// More than the kernel buffers for both sides.
    const MUCH: usize = 64 << 20;

    fn start(bounds: Bounds) -> (tokio::runtime::Runtime, SocketAddr) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listener = runtime.block_on(listener).expect("a listener");
        let address = listener.local_addr().expect("its address");
        let router = Router::new()
            .route("/", get(|| async { "yes" }))
            .route("/much", get(|| async { vec![0; MUCH] }));
        let peer = |address: &SocketAddr| address.ip();
        runtime.spawn(serve(listener, bounds, peer, move |_| router.clone()));
        (runtime, address)
    }

    fn connect(from: [u8; 4], to: SocketAddr) -> TcpStream {
        let socket =
            socket::socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None);
        let stream = TcpStream::from(socket.expect("a socket"));
        let from = SockaddrIn::from(std::net::SocketAddrV4::new(Ipv4Addr::from(from), 0));
        use std::os::fd::AsRawFd as _;
        socket::bind(stream.as_raw_fd(), &from).expect("an address of this host");
        let SocketAddr::V4(to) = to else { panic!("{to} is not IPv4") };
        socket::connect(stream.as_raw_fd(), &SockaddrIn::from(to)).expect("a connection");
        stream.set_read_timeout(Some(SOON)).expect("a timeout");
        stream
    }

    fn ask(stream: &mut TcpStream) -> String {
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer, and the end");
        answer.rsplit("\r\n").next().unwrap_or_default().to_owned()
    }

    /// Whether the other end has not closed it.
    fn is_open(stream: &TcpStream) -> bool {
        stream.set_nonblocking(true).expect("a mode");
        let is_open = matches!(
            stream.peek(&mut [0]),
            Err(why) if why.kind() == std::io::ErrorKind::WouldBlock
        );
        stream.set_nonblocking(false).expect("a mode");
        is_open
    }
}
