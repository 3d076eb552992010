//! UDP sockets that were there before something changed: kube-proxy deletes the flows to an endpoint
//! that no longer serves and leaves the others (`conntrack/cleanup.go` `CleanStaleEntries`); so an
//! unconnected socket keeps its endpoint exactly as long as the table lists it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use redirector_tests::{
    cluster::Cluster,
    place::Place,
    script::{Kind, Outcome, RawAddress, Scripter, Step},
};

use super::{
    check::enough,
    expected::{Choice, Protocol, Told},
    placed::Placed,
};

/// Of cases about them.
const SOURCE: &str = "conntrack/";
const UDP: Kind = Kind { domain: libc::AF_INET, kind: libc::SOCK_DGRAM, protocol: 0 };

/// A socket for each endpoint that there is at first.
#[derive(Debug)]
pub struct Flows {
    rule: String,
    told: Told,
    frontend: SocketAddr,
    sockets: BTreeMap<String, Scripter>,
}

impl Flows {
    /// If the case is about flows.
    pub fn open(cluster: &Cluster, case: &Placed) -> Option<Self> {
        let is_about = case.case.source.starts_with(SOURCE) && case.script.steps.len() > 1;
        let told = case.told.first().filter(|_| is_about)?;
        let (frontend, Protocol::Udp) = told.frontends.first().copied()? else { return None };
        let first = &case.script.steps[0].slices[0];
        let wanted = first["endpoints"].as_array().map_or(0, Vec::len);
        let place = || Place::new(cluster.lab.node("client").netns(), &cluster.cgroup);
        let mut sockets = BTreeMap::new();
        for _ in 0..enough(wanted) {
            let mut socket = Scripter::start(place()).expect("an application");
            socket.run(&[Step::Socket(UDP)]).expect("a socket");
            let name = send(&mut socket, frontend).expect("an answer at first");
            sockets.entry(name).or_insert(socket);
            if sockets.len() == wanted {
                break;
            }
        }
        assert_eq!(sockets.len(), wanted, "{}: who answers at first", case.case.rule);
        Some(Self { rule: case.case.rule.clone(), told: told.clone(), frontend, sockets })
    }

    /// Sends once more on each.
    pub fn check(self) {
        let Self { rule, told, frontend, sockets } = self;
        let listed: Vec<_> = told.ranks.iter().flatten().map(ToString::to_string).collect();
        for (before, mut socket) in sockets {
            match (told.choice(frontend.ip()), send(&mut socket, frontend)) {
                (Choice::Among(chosen), Ok(now)) => {
                    let stays = listed.contains(&before);
                    let expected = if stays { BTreeSet::from([before.clone()]) } else { chosen };
                    assert!(expected.contains(&now), "{rule}: {before}, then {now}: {expected:?}");
                }
                (Choice::Refused(errno), Err(failed)) => assert_eq!(errno, failed, "{rule}"),
                (choice, now) => panic!("{rule}: {choice:?}, but {now:?}"),
            }
        }
    }
}

/// Who answers, or the error.
fn send(socket: &mut Scripter, to: SocketAddr) -> Result<String, i32> {
    let steps = [Step::SendTo(RawAddress::from(to), 0, "who?".to_owned()), Step::Receive];
    let replies = socket.run(&steps).expect("replies");
    match (&replies[0].outcome, &replies[1].outcome) {
        (Outcome::Failed(errno), _) => Err(*errno),
        (_, Outcome::Received(text, _)) => Ok(text.lines().next().unwrap_or_default().to_owned()),
        (_, other) => panic!("{to}: {other:?}"),
    }
}
