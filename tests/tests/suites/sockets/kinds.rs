//! Less usual ways to dial: TCP Fast Open, Multipath TCP, an IPv4 address through an IPv6 socket.

use std::fs;

use redirector_tests::script::{Kind, Outcome, RawAddress, Step};

use super::{
    dialogue::Dialogue,
    fixture::{Family, Fixture, Spot, all_services, name},
};

/// `sendto` with `MSG_FASTOPEN` connects and sends at once.
#[test]
fn tcp_fast_open_is_redirected_and_shows_the_service() {
    let site = Fixture::new(&all_services(), &[]);
    let mut client = site.client();
    for family in Family::ALL {
        let service = Spot::service(1, 10).seen_by(family);
        let nobody = Spot::service(0, 10).seen_by(family);
        let open = |to: &RawAddress| Step::SendTo(to.clone(), libc::MSG_FASTOPEN, "hi".to_owned());
        let mut dialogue = Dialogue::default();
        dialogue.socket(family.socket(libc::SOCK_STREAM));
        dialogue.comes_to(open(&service), Outcome::Sent(2));
        dialogue.peer_is(service);
        dialogue.answer(&[name(1)], RawAddress::none());
        dialogue.socket(family.socket(libc::SOCK_STREAM));
        dialogue.fails(open(&nobody), libc::ECONNREFUSED);
        let replies = client.run(dialogue.steps()).expect("replies");
        assert_eq!(dialogue.faults(&replies), [""; 0], "{family:?}");
    }
}

/// The programs see the subflow connect, and the whole socket ask for its peer.
#[test]
fn multipath_tcp_is_redirected() {
    if fs::read_to_string("/proc/sys/net/mptcp/enabled").is_err() {
        println!("SKIP kinds::multipath_tcp_is_redirected: this kernel has no MPTCP");
        return;
    }
    let site = Fixture::new(&all_services(), &[]);
    let mut client = site.client();
    for family in Family::ALL {
        let service = Spot::service(1, 10).seen_by(family);
        let nobody = Spot::service(0, 10).seen_by(family);
        let kind = Kind { protocol: libc::IPPROTO_MPTCP, ..family.socket(libc::SOCK_STREAM) };
        let mut dialogue = Dialogue::default();
        dialogue.socket(kind);
        dialogue.connect(service.clone(), true);
        dialogue.peer_is(service);
        dialogue.answer(&[name(1)], RawAddress::none());
        dialogue.socket(kind);
        dialogue.fails(Step::Connect(nobody), libc::ECONNREFUSED);
        let replies = client.run(dialogue.steps()).expect("replies");
        assert_eq!(dialogue.faults(&replies), [""; 0], "{family:?}");
    }
}

/// Linux takes an IPv4 address on a UDP socket of IPv6, and shows it as v4-mapped.
#[test]
fn an_ipv4_address_through_an_ipv6_socket_is_redirected() {
    let site = Fixture::new(&all_services(), &[]);
    let mut client = site.client();
    for (backends, names) in [(1, vec![name(1)]), (3, (1..=3).map(name).collect())] {
        let service = Spot::service(backends, 10);
        let [plain, mapped] = [Family::Ipv4, Family::Mapped].map(|family| service.seen_by(family));
        let mut dialogue = Dialogue::default();
        dialogue.socket(Family::Ipv6.socket(libc::SOCK_DGRAM));
        dialogue.send_to(plain.clone());
        dialogue.answer(&names, mapped.clone());
        dialogue.connect(plain, true);
        dialogue.peer_is(mapped.clone());
        dialogue.send();
        dialogue.answer(&names, mapped);
        let replies = client.run(dialogue.steps()).expect("replies");
        assert_eq!(dialogue.faults(&replies), [""; 0], "{backends} backends");
    }
}
