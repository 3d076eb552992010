//! What is no service, and who is not in our cgroup: everything is as without the programs.
//!
//! The same scripts run in three places: in the redirected cgroup, in one beside it, and in this
//! process's own. Every outcome must be the same, errors and addresses byte for byte.

use std::net::{Ipv4Addr, Ipv6Addr};

use redirector_tests::{
    cgroup::Cgroup,
    script::{Kind, Outcome, RawAddress, Scripter, Step},
};

use super::{
    cell::Cell,
    fixture::{Family, Fixture, PLAIN, Spot, all_services},
};

#[test]
fn addresses_that_are_no_service_behave_as_without_the_programs() {
    let site = Fixture::new(&all_services(), &[]);
    let beside = Cgroup::new("beside").expect("a cgroup");
    let mut places = [site.client(), site.stranger(Some(&beside)), site.stranger(None)];
    let counters = ["translated", "tier_0", "no_backends", "inconsistent"];
    let before = counters.map(|name| site.agent.counter(name));
    let scripts = scripts();

    let faults = differences(&mut places, &scripts);

    let steps: usize = scripts.iter().map(|(_, script)| script.len()).sum();
    println!("no services: {} scripts, {steps} steps, in 3 cgroups", scripts.len());
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    assert_eq!(counters.map(|name| site.agent.counter(name)), before, "{counters:?}");
}

/// The kernel checks the family after the programs have run: they redirect, and yet it refuses.
#[test]
fn a_service_address_of_a_wrong_family_is_refused_as_without_the_programs() {
    let site = Fixture::new(&all_services(), &[]);
    let mut places = [site.client(), site.stranger(None), site.stranger(None)];
    let mut scripts = Vec::new();
    for family in Family::ALL {
        let mut address = Spot::service(1, 10).seen_by(family);
        address.0[0] = libc::AF_APPLETALK as u8;
        for kind in [libc::SOCK_STREAM, libc::SOCK_DGRAM] {
            let title = format!("{family:?}, {kind}");
            scripts.push((title, refused(family.socket(kind), &address)));
        }
    }
    let faults = differences(&mut places, &scripts);
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// Service addresses exist nowhere: whoever is not redirected cannot reach them.
#[test]
fn a_cgroup_beside_ours_sees_nothing_of_it() {
    let site = Fixture::new(&all_services(), &[]);
    let beside = Cgroup::new("beside").expect("a cgroup");
    let before = site.agent.dump()["counters"].clone();
    let mut places = [site.stranger(Some(&beside)), site.stranger(None)];
    for cell in Cell::all() {
        let dialogue = cell.dialogue();
        // Each begins with a socket and its first use of a service.
        let first = dialogue
            .steps()
            .iter()
            .find(|step| matches!(step, Step::Connect(_) | Step::SendTo(..) | Step::SendMany(_)));
        let script = [dialogue.steps()[0].clone(), first.expect("a use").clone(), Step::Peer];
        for place in &mut places {
            let unreachable = [
                Outcome::Done,
                Outcome::Failed(libc::ENETUNREACH),
                Outcome::Failed(libc::ENOTCONN),
            ];
            assert_eq!(outcomes(place, &script), unreachable, "{cell}");
        }
    }
    assert_eq!(site.agent.dump()["counters"], before, "a program of ours has run");
}

/// Steps whose outcomes are not the same in our place, the first, and in the others.
fn differences(places: &mut [Scripter; 3], scripts: &[(String, Vec<Step>)]) -> Vec<String> {
    let mut faults = Vec::new();
    for (title, script) in scripts {
        let [ours, beside, own] = places.each_mut().map(|place| outcomes(place, script));
        for (name, theirs) in [("the cgroup beside", beside), ("this process's", own)] {
            for ((step, ours), theirs) in script.iter().zip(&ours).zip(theirs) {
                if *ours != theirs {
                    faults.push(format!("{title}, {step:?}: {ours:?}, but {theirs:?} in {name}"));
                }
            }
        }
    }
    faults
}

fn outcomes(place: &mut Scripter, script: &[Step]) -> Vec<Outcome> {
    let replies = place.run(script).expect("replies");
    replies.into_iter().map(|reply| reply.outcome).collect()
}

/// Everything here can be repeated with the same outcome: no port that the kernel chose is shown.
fn scripts() -> Vec<(String, Vec<Step>)> {
    let mut scripts = Vec::new();
    for family in Family::ALL {
        let mut add = |title: &str, steps: Vec<Step>| {
            scripts.push((format!("{family:?}, {title}"), steps));
        };
        let plain = Spot::replica(PLAIN).seen_by(family);
        let backend = Spot::replica(1).seen_by(family);
        let closed = Spot::replica(PLAIN).with_port(1).seen_by(family);
        let udp = Step::Socket(family.socket(libc::SOCK_DGRAM));
        for (name, kind) in [
            ("TCP", libc::SOCK_STREAM),
            ("non-blocking TCP", libc::SOCK_STREAM | libc::SOCK_NONBLOCK),
        ] {
            let tcp = Step::Socket(family.socket(kind));
            for to in [&plain, &backend] {
                add(
                    &format!("{name} to a replica itself"),
                    vec![
                        tcp.clone(),
                        Step::Connect(to.clone()),
                        Step::Await,
                        Step::Connect(to.clone()),
                        Step::Peer,
                        Step::Local,
                        Step::Receive,
                        Step::Connect(RawAddress::unspecified()),
                        Step::Peer,
                        Step::Connect(plain.clone()),
                        Step::Await,
                        Step::Peer,
                    ],
                );
            }
            add(
                &format!("{name} to a closed port"),
                vec![tcp, Step::Connect(closed.clone()), Step::Await, Step::Peer],
            );
        }
        add(
            "UDP to a closed port",
            vec![
                udp.clone(),
                Step::Connect(closed.clone()),
                Step::Peer,
                Step::Send("lost".to_owned()),
                Step::Receive,
                Step::Peer,
            ],
        );
        for to in [&plain, &backend] {
            add("UDP to a replica itself", udp_everything(&udp, to));
        }
        add(
            "a UDP socket that was connected elsewhere",
            vec![
                udp.clone(),
                Step::Connect(plain.clone()),
                Step::Connect(RawAddress::unspecified()),
                Step::SendTo(backend.clone(), 0, "heard?".to_owned()),
                // IPv6 never hears the answer: `Talk::stays_deaf` in `cell`.
                if family == Family::Ipv6 { Step::Silence(100) } else { Step::Receive },
            ],
        );
        for (what, to) in odd_addresses(family) {
            add(&format!("TCP to {what}"), refused(family.socket(libc::SOCK_STREAM), &to));
            add(&format!("UDP to {what}"), refused(family.socket(libc::SOCK_DGRAM), &to));
        }
        for (what, kind) in odd_sockets(family) {
            add(
                &format!("{what} to a service"),
                vec![
                    Step::Socket(kind),
                    Step::Connect(Spot::service(1, 10).seen_by(family)),
                    Step::Peer,
                    Step::SendTo(Spot::service(1, 10).seen_by(family), 0, "lost".to_owned()),
                ],
            );
        }
    }
    scripts
}

fn udp_everything(udp: &Step, to: &RawAddress) -> Vec<Step> {
    let message = || (to.clone(), "many".to_owned());
    vec![
        udp.clone(),
        Step::SendTo(to.clone(), 0, "one".to_owned()),
        Step::Receive,
        Step::SendMany(vec![message(), message()]),
        Step::Receive,
        Step::Receive,
        Step::Peer,
        Step::Connect(to.clone()),
        Step::Peer,
        Step::Local,
        Step::Send("two".to_owned()),
        Step::Receive,
        Step::Connect(RawAddress::unspecified()),
        Step::Peer,
        Step::Send("three".to_owned()),
        Step::SendTo(to.clone(), 0, "four".to_owned()),
        Step::Receive,
    ]
}

fn refused(kind: Kind, to: &RawAddress) -> Vec<Step> {
    vec![
        Step::Socket(kind),
        Step::Connect(to.clone()),
        Step::Peer,
        Step::SendTo(to.clone(), 0, "lost".to_owned()),
        Step::SendMany(vec![(to.clone(), "lost".to_owned())]),
        Step::Peer,
    ]
}

/// Addresses beside those of services, and such as no application should use.
fn odd_addresses(family: Family) -> Vec<(&'static str, RawAddress)> {
    let service = Spot::service(1, 10);
    let seen = service.seen_by(family);
    let short = |length: usize| RawAddress(seen.0[..length].to_vec());
    let everybody = Spot {
        v4: Ipv4Addr::new(10, 77, 255, 255),
        v6: Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1),
        port: service.port,
    };
    vec![
        ("another port of a service", service.with_port(81).seen_by(family)),
        ("port 0 of a service", service.with_port(0).seen_by(family)),
        ("the address beside a service", Spot::service(1, 99).seen_by(family)),
        ("a service, cut to 15 bytes", short(15)),
        ("a service, cut to 8 bytes", short(8)),
        ("a service, cut to 2 bytes", short(2)),
        ("a service, cut to 1 byte", short(1)),
        ("everybody", everybody.seen_by(family)),
    ]
}

fn odd_sockets(family: Family) -> Vec<(&'static str, Kind)> {
    let (ping, udp_lite) = match family {
        Family::Ipv6 => (libc::IPPROTO_ICMPV6, libc::IPPROTO_UDPLITE),
        _ => (libc::IPPROTO_ICMP, libc::IPPROTO_UDPLITE),
    };
    let of = |kind, protocol| Kind { protocol, ..family.socket(kind) };
    vec![
        ("a ping socket", of(libc::SOCK_DGRAM, ping)),
        ("a raw socket", of(libc::SOCK_RAW, ping)),
        ("UDP-Lite", of(libc::SOCK_DGRAM, udp_lite)),
        ("SCTP", of(libc::SOCK_STREAM, libc::IPPROTO_SCTP)),
    ]
}
