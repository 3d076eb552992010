//! A backend that keeps its connections: it sends back what it receives, and nothing else.

use std::{
    collections::BTreeMap,
    io::{self, Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use redirector_tests::netns::Netns;

/// How soon a thread notices that its backend is dropped.
const PAUSE: Duration = Duration::from_millis(100);

/// A backend on TCP and UDP. Dropping it closes everything.
pub(crate) struct Echo {
    shared: Arc<Shared>,
    threads: Vec<thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    is_over: AtomicBool,
    /// Accepts no more.
    is_closing: AtomicBool,
    /// Requests wait for their answers.
    is_slow: AtomicBool,
    /// Listeners that are open.
    listening: AtomicUsize,
    connections: Mutex<Vec<thread::JoinHandle<()>>>,
    /// Connections accepted so far, by the client's address.
    accepted: Mutex<BTreeMap<IpAddr, u32>>,
}

impl Echo {
    pub(crate) fn start(netns: &Netns, addresses: &[SocketAddr]) -> Self {
        let shared = Arc::new(Shared::default());
        let mut threads = Vec::new();
        for address in addresses {
            let (tcp, udp) = netns.run(|| {
                let tcp = TcpListener::bind(address).expect("a TCP address");
                (tcp, UdpSocket::bind(address).expect("a UDP address"))
            });
            tcp.set_nonblocking(true).expect("a listener that does not block");
            udp.set_read_timeout(Some(PAUSE)).expect("a timeout");
            shared.listening.fetch_add(1, Ordering::SeqCst);
            let of_tcp = Arc::clone(&shared);
            threads.push(thread::spawn(move || of_tcp.accept(tcp)));
            let of_udp = Arc::clone(&shared);
            threads.push(thread::spawn(move || of_udp.answer(&udp)));
        }
        Self { shared, threads }
    }

    /// How many connections of that client it has accepted.
    pub(crate) fn accepted(&self, client: IpAddr) -> u32 {
        self.shared.accepted.lock().expect("counts").get(&client).copied().unwrap_or(0)
    }

    /// Whether TCP answers wait until this is said to be over.
    pub(crate) fn be_slow(&self, is_slow: bool) {
        self.shared.is_slow.store(is_slow, Ordering::SeqCst);
    }

    /// Closes the listeners; its connections go on. Returns when they are closed.
    pub(crate) fn close_listeners(&self) {
        self.shared.is_closing.store(true, Ordering::SeqCst);
        while self.shared.listening.load(Ordering::SeqCst) > 0 {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        let connections = std::mem::take(&mut *self.shared.connections.lock().expect("a list"));
        for thread in self.threads.drain(..).chain(connections) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    fn accept(self: Arc<Self>, listener: TcpListener) {
        while !self.is_over() && !self.is_closing.load(Ordering::SeqCst) {
            let Ok((stream, client)) = listener.accept() else {
                thread::sleep(Duration::from_millis(2));
                continue;
            };
            *self.accepted.lock().expect("counts").entry(client.ip()).or_default() += 1;
            let shared = Arc::clone(&self);
            let serve = move || {
                // A client that is gone, or was reset.
                let _ = shared.serve(stream);
            };
            let thread = thread::Builder::new().stack_size(64 << 10).spawn(serve);
            self.connections.lock().expect("a list").push(thread.expect("a thread"));
        }
        drop(listener);
        self.listening.fetch_sub(1, Ordering::SeqCst);
    }

    /// After the client's end it neither answers nor closes.
    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(PAUSE))?;
        let mut bytes = [0; 64];
        while !self.is_over() {
            match stream.read(&mut bytes) {
                Ok(0) => thread::sleep(PAUSE),
                Ok(length) => {
                    while self.is_slow.load(Ordering::SeqCst) && !self.is_over() {
                        thread::sleep(Duration::from_millis(5));
                    }
                    stream.write_all(&bytes[..length])?;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn answer(&self, socket: &UdpSocket) {
        let mut bytes = [0; 64];
        while !self.is_over() {
            if let Ok((length, client)) = socket.recv_from(&mut bytes) {
                let _ = socket.send_to(&bytes[..length], client);
            }
        }
    }
}
