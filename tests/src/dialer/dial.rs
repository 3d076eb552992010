//! Makes one dial with a fresh socket.

use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket},
    time::Instant,
};

use super::{ConnectPhase, Dial, Dialled, Failure, Transport, now_us};

/// Comes back with the answer of a UDP replica: no other answer is taken for it.
const QUESTION: &[u8] = b"who serves?";
const REQUEST: &[u8] = b"GET / HTTP/1.0\r\n\r\n";

/// Dials once. Never longer than about twice the timeout.
pub(crate) fn dial(dial: &Dial) -> Dialled {
    let mut dialled = Dialled {
        at_us: now_us(),
        connect_us: 0,
        total_us: 0,
        outcome: Err(Failure { phase: ConnectPhase::Connect, errno: None }),
        peer: None,
        source: None,
    };
    let start = Instant::now();
    dialled.outcome = match dial.transport {
        Transport::Tcp => dial_tcp(dial, start, &mut dialled),
        Transport::Udp => dial_udp(dial, start, &mut dialled),
        Transport::UdpUnconnected => dial_udp_unconnected(dial, start, &mut dialled),
    };
    dialled.total_us = micros(start);
    dialled
}

fn dial_tcp(dial: &Dial, start: Instant, dialled: &mut Dialled) -> Result<String, Failure> {
    let stream = TcpStream::connect_timeout(&dial.address, dial.timeout());
    dialled.connect_us = micros(start);
    let mut stream = stream.map_err(at(ConnectPhase::Connect))?;
    dialled.peer = stream.peer_addr().ok();
    let mut text = Vec::new();
    stream
        .set_read_timeout(Some(dial.timeout()))
        .and_then(|()| stream.write_all(REQUEST))
        .and_then(|()| stream.read_to_end(&mut text))
        .map_err(at(ConnectPhase::Answer))?;
    // Reset instead of closed: a load leaves no thousands of sockets waiting on the replica's node.
    let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
    let _ = nix::sys::socket::setsockopt(&stream, nix::sys::socket::sockopt::Linger, &at_once);
    let text = String::from_utf8_lossy(&text);
    let name = text.split_once("\r\n\r\n").and_then(|(_, body)| body.strip_suffix('\n'));
    name.map(str::to_owned).ok_or(Failure { phase: ConnectPhase::Answer, errno: None })
}

fn dial_udp(dial: &Dial, start: Instant, dialled: &mut Dialled) -> Result<String, Failure> {
    let socket = udp_socket(dial).map_err(at(ConnectPhase::Connect))?;
    let connected = socket.connect(dial.address);
    dialled.connect_us = micros(start);
    connected.map_err(at(ConnectPhase::Connect))?;
    dialled.peer = socket.peer_addr().ok();
    socket.send(QUESTION).map_err(at(ConnectPhase::Answer))?;
    receive(&socket, dialled)
}

fn dial_udp_unconnected(
    dial: &Dial,
    start: Instant,
    dialled: &mut Dialled,
) -> Result<String, Failure> {
    let socket = udp_socket(dial).map_err(at(ConnectPhase::Connect))?;
    let sent = socket.send_to(QUESTION, dial.address);
    dialled.connect_us = micros(start);
    sent.map_err(at(ConnectPhase::Connect))?;
    receive(&socket, dialled)
}

fn udp_socket(dial: &Dial) -> io::Result<UdpSocket> {
    let any: IpAddr = match dial.address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_read_timeout(Some(dial.timeout()))?;
    Ok(socket)
}

fn receive(socket: &UdpSocket, dialled: &mut Dialled) -> Result<String, Failure> {
    let mut datagram = [0; 2048];
    let (length, source) = socket.recv_from(&mut datagram).map_err(at(ConnectPhase::Answer))?;
    dialled.source = Some(source);
    let name = datagram[..length].strip_suffix(QUESTION).and_then(|name| name.strip_suffix(b"\n"));
    name.map(|name| String::from_utf8_lossy(name).into_owned())
        .ok_or(Failure { phase: ConnectPhase::Answer, errno: None })
}

fn at(phase: ConnectPhase) -> impl Fn(io::Error) -> Failure {
    move |error| {
        // The standard library's own timeout of a connect has no number.
        let timeout = (error.kind() == io::ErrorKind::TimedOut).then_some(libc::ETIMEDOUT);
        Failure { phase, errno: error.raw_os_error().or(timeout) }
    }
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}
