//! `--peer-name`: which sockets show the service address. Redirected are all of them.

use std::collections::BTreeSet;

use redirector_tests::script::{Outcome, RawAddress, Scripter, Step};

use super::{
    dialogue::{Dialogue, answerer},
    fixture::{Family, Fixture, Spot, all_services, name},
};

#[test]
fn with_peer_name_none_every_socket_shows_the_backend() {
    assert_shown("none", false, false);
}

#[test]
fn with_peer_name_tcp_only_udp_shows_the_backend() {
    assert_shown("tcp", true, false);
}

#[test]
fn with_peer_name_udp_only_tcp_shows_the_backend() {
    assert_shown("udp", false, true);
}

fn assert_shown(protocols: &str, tcp_is_service: bool, udp_is_service: bool) {
    let site = Fixture::new(&all_services(), &["--peer-name", protocols]);
    let mut client = site.client();
    for family in Family::ALL {
        let [service, other] = [10, 11].map(|number| Spot::service(1, number).seen_by(family));
        let backend = Spot::replica(1).seen_by(family);
        let shown = |is_service, service: &RawAddress| {
            if is_service { service.clone() } else { backend.clone() }
        };
        let names = [name(1)];
        let mut dialogue = Dialogue::default();

        dialogue.socket(family.socket(libc::SOCK_STREAM));
        dialogue.connect(service.clone(), true);
        dialogue.peer_is(shown(tcp_is_service, &service));
        dialogue.answer(&names, RawAddress::none());

        dialogue.socket(family.socket(libc::SOCK_DGRAM));
        dialogue.connect(service.clone(), true);
        dialogue.peer_is(shown(udp_is_service, &service));
        dialogue.send();
        dialogue.answer(&names, shown(udp_is_service, &service));

        dialogue.socket(family.socket(libc::SOCK_DGRAM));
        for to in [&service, &other, &service] {
            dialogue.send_to(to.clone());
            dialogue.answer(&names, shown(udp_is_service, to));
        }
        let replies = client.run(dialogue.steps()).expect("replies");
        assert_eq!(dialogue.faults(&replies), [""; 0], "{family:?}");
    }
    for family in Family::ALL {
        assert_eq!(
            answerers(&mut client, family).len(),
            1,
            "{family:?}: without memory its cookie"
        );
    }
}

/// Which replicas answer twenty questions of one UDP socket to the service with three backends.
fn answerers(client: &mut Scripter, family: Family) -> BTreeSet<String> {
    let service = Spot::service(3, 10).seen_by(family);
    let mut script = vec![Step::Socket(family.socket(libc::SOCK_DGRAM))];
    for _ in 0..20 {
        script.extend([Step::SendTo(service.clone(), 0, "who?".to_owned()), Step::Receive]);
    }
    let replies = client.run(&script).expect("replies");
    let texts: Vec<_> = replies
        .iter()
        .filter_map(|reply| match &reply.outcome {
            Outcome::Received(text, _) => Some(text),
            _ => None,
        })
        .collect();
    assert_eq!(texts.len(), 20, "{replies:?}");
    texts.into_iter().filter_map(|text| answerer(text)).map(str::to_owned).collect()
}
