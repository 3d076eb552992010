//! A server that does with each request what the request says: answers, waits, says nothing, or ends.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use redirector_tests::lab::Node;

/// Is answered at once.
pub(crate) const ANSWER: &str = "a";
/// Is answered after [`LATE`].
pub(crate) const ANSWER_LATE: &str = "l";
/// Is never answered, not even by an end.
pub(crate) const BE_SILENT: &str = "s";
/// Ends the connection without a word.
pub(crate) const END: &str = "e";
/// The begin of a request of HTTP, which is answered when the whole of it is there.
pub(crate) const HALF_A_REQUEST: &str = "GET / HTTP/1.1\r\n";
/// How long the slow answer takes.
pub(crate) const LATE: Duration = Duration::from_secs(1);
/// A client that does not go away is dropped after this long.
const LONGEST: Duration = Duration::from_secs(20);

/// The server. Its threads end with the test's process, its listeners with the namespace.
#[derive(Clone, Debug, Default)]
pub(crate) struct Obedient {
    greets: Arc<AtomicBool>,
}

impl Obedient {
    /// Serves these addresses of a node, with that name.
    pub(crate) fn start(node: &Node, name: &str, addresses: &[SocketAddr]) -> Self {
        let server = Self::default();
        for address in addresses {
            let listener = node.netns().run(|| TcpListener::bind(address)).expect("a listener");
            let (greets, name) = (Arc::clone(&server.greets), name.to_owned());
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let (greets, name) = (greets.load(Ordering::Relaxed), name.clone());
                    // The client may be gone.
                    thread::spawn(move || obey(stream, &name, greets));
                }
            });
        }
        server
    }

    /// Whether it speaks first from now on.
    pub(crate) fn greet(&self, greets: bool) {
        self.greets.store(greets, Ordering::Relaxed);
    }
}

fn obey(mut stream: TcpStream, name: &str, greets: bool) -> io::Result<()> {
    stream.set_read_timeout(Some(LONGEST))?;
    if greets {
        stream.write_all(b"welcome")?;
    }
    let (mut seen, mut is_silent) = (Vec::new(), false);
    let mut some = [0; 512];
    loop {
        let length = stream.read(&mut some)?;
        if length == 0 {
            if is_silent {
                thread::sleep(LONGEST);
            }
            return Ok(());
        }
        seen.extend_from_slice(&some[..length]);
        match seen[0] {
            b'G' if !seen.ends_with(b"\r\n\r\n") => continue,
            b'G' => {
                let length = name.len() + 1;
                let head = format!("HTTP/1.0 200 OK\r\nContent-Length: {length}\r\n\r\n");
                stream.write_all(format!("{head}{name}\n").as_bytes())?;
                stream.shutdown(Shutdown::Write)?;
            }
            b'a' => stream.write_all(b"yes")?,
            b'l' => {
                thread::sleep(LATE);
                stream.write_all(b"yes")?;
            }
            b'e' => return Ok(()),
            _ => is_silent = true,
        }
        seen.clear();
    }
}
