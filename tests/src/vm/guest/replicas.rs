//! The replicas of the guest's services: each answers with its own address.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::thread;

use anyhow::{Context, Result};

/// The backends of every service that has any, as in `config.yaml`.
pub(super) const IPV4: [SocketAddr; 3] = [ipv4(1), ipv4(2), ipv4(3)];
pub(super) const IPV6: [SocketAddr; 3] = [ipv6(8081), ipv6(8082), ipv6(8083)];

const fn ipv4(last: u8) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 1, last)), 8080)
}

const fn ipv6(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), port)
}

/// Serves all of them, TCP and UDP, until the guest ends.
pub(super) fn serve() -> Result<()> {
    for address in IPV4.into_iter().chain(IPV6) {
        let tcp = TcpListener::bind(address).with_context(|| format!("cannot serve {address}"))?;
        let udp = UdpSocket::bind(address).with_context(|| format!("cannot serve {address}"))?;
        let answer = address.to_string();
        thread::spawn({
            let answer = answer.clone();
            move || answer_tcp(&tcp, &answer)
        });
        thread::spawn(move || answer_udp(&udp, &answer));
    }
    Ok(())
}

fn answer_tcp(listener: &TcpListener, answer: &str) {
    for mut client in listener.incoming().flatten() {
        // A client that is gone already needs no answer; a client that misses one says so.
        let _ = client.write_all(answer.as_bytes());
    }
}

fn answer_udp(socket: &UdpSocket, answer: &str) {
    let mut question = [0; 64];
    loop {
        if let Ok((_, client)) = socket.recv_from(&mut question) {
            let _ = socket.send_to(answer.as_bytes(), client);
        }
    }
}
