//! Two clusters that call nodes and zones alike, and several owners on one node.

use std::time::Duration;

use redirector_common::HealthByte;

use super::{
    tests::{backend, failure, service, success},
    *,
};
use crate::{
    input::{Drained, Network, ProbeFailure},
    service::{Probe, Protocol, Service},
    tables::compile,
};

/// Backends on n9 of the own cluster, and (`WEST`) on the node of that name in west.
const OWN: [&str; 2] = ["10.1.0.1", "10.1.0.2"];
const WEST: [&str; 2] = ["10.2.0.1", "10.2.0.2"];

#[test]
fn a_silent_node_says_nothing_about_one_of_that_name_in_another_cluster() {
    for own in ["", "home"] {
        let mut state = two_clusters(own);
        let udp = udp(&mut state, "udp", &["10.1.0.3 n9", "10.2.0.3 west/n9"]);
        time_out(&mut state, 10..13, &OWN);
        assert!(state.is_ejected(&udp[0]), "its node is silent");
        assert!(!state.is_ejected(&udp[1]), "it has another node");
        let why = &state.health_of(&udp[0]).expect("it is listed").objections[0].1.why;
        assert_eq!(&**why, "its node n9 is silent");
        state.told(20, success(OWN[0]));
        assert!(!state.is_ejected(&udp[0]));

        time_out(&mut state, 30..33, &WEST);
        assert!(state.is_ejected(&udp[1]) && !state.is_ejected(&udp[0]));
        let why = &state.health_of(&udp[1]).expect("it is listed").objections[0].1.why;
        assert_eq!(&**why, "its node west/n9 is silent");
        state.told(40, success(OWN[1]));
        assert!(state.is_ejected(&udp[1]), "that was another node's answer");
        state.told(41, success(WEST[1]));
        assert!(!state.is_ejected(&udp[1]));
    }
}

#[test]
fn orders_and_suppositions_mean_the_own_cluster_unless_they_name_another() {
    for (what, own, west) in [
        (Drained::Node("n9".into()), true, false),
        (Drained::Node("home/n9".into()), true, false),
        (Drained::Node("west/n9".into()), false, true),
        (Drained::Node("east/n9".into()), false, false),
        (Drained::Zone("a".into()), true, false),
        (Drained::Zone("home/a".into()), true, false),
        (Drained::Zone("west/a".into()), false, true),
        (Drained::Cluster("home".into()), true, false),
        (Drained::Cluster("west".into()), false, true),
    ] {
        let mut state = two_clusters("home");
        let meant = |state: &State| [OWN[0], WEST[0]].map(|one| state.is_ejected(&backend(one)));
        let supposed = state.clone().with_dead(&state.meant(std::slice::from_ref(&what)));
        assert_eq!(meant(&supposed), [own, west], "{what:?} is supposed to be dead");
        state.told(1, Input::Operator(Verb::Drain(what.clone())));
        assert_eq!(meant(&state), [own, west], "{what:?} is drained");
        state.told(2, Input::Operator(Verb::Undrain(what)));
        assert_eq!(meant(&state), [false, false]);
    }
}

#[test]
fn an_order_ends_by_whichever_name_of_the_own_cluster_and_outlives_a_new_id() {
    let mut state = two_clusters("home");
    state.told(1, Input::Operator(Verb::Drain(Drained::Node("home/n9".into()))));
    assert_eq!(state.told(2, Input::Operator(Verb::Drain(Drained::Node("n9".into())))), []);
    state.told(3, Input::Operator(Verb::Undrain(Drained::Node("n9".into()))));
    assert!(state.orders().is_empty());

    state.told(4, Input::Operator(Verb::Drain(Drained::Node("west/n9".into()))));
    state.told(5, here("west"));
    let drained = Verb::Drain(Drained::Node("n9".into()));
    assert_eq!(state.orders(), &BTreeSet::from([drained]), "west is the own one now");
    let is_drained = |address: &str| state.is_ejected(&backend(address));
    assert!(is_drained(WEST[0]) && is_drained(OWN[0]), "without a cluster it is in the own one");
}

#[test]
fn a_cluster_without_an_id_is_all_that_names_none() {
    let mut state = two_clusters("");
    state.told(1, Input::Operator(Verb::Drain(Drained::Zone("a".into()))));
    assert!(state.is_ejected(&backend(OWN[0])) && !state.is_ejected(&backend(WEST[0])));
}

#[test]
fn a_node_of_the_own_ones_name_in_another_cluster_is_another_node() {
    // This node is n0. It is west/n0 and n1 that do not answer.
    let mut state = born("home", vec![on_nodes("a", &["10.2.0.1 west/n0", "10.1.0.1 n1"])]);
    for address in ["10.2.0.1", "10.1.0.1"] {
        state.told(0, success(address));
        state.told(10, failure(address));
    }
    state.told(13, Input::Tick);
    assert_eq!(state.told(15, Input::Tick), [Transition::NodeSuspect(true)]);
    assert_eq!(state.told(16, success("10.2.0.1")), [Transition::NodeSuspect(false)]);
}

#[test]
fn nodes_of_one_name_in_two_clusters_are_two_that_do_not_answer() {
    let mut state = two_clusters("home");
    for address in [OWN, WEST].concat() {
        state.told(10, failure(address));
    }
    state.told(13, Input::Tick);
    assert_eq!(state.told(15, Input::Tick), [Transition::NodeSuspect(true)]);
}

#[test]
fn one_owners_silent_backends_take_out_that_owners_only() {
    let mut state = born("", vec![on_nodes("a/web", &["10.1.0.1 n1", "10.1.0.2 n1"])]);
    let well = on_nodes("a/far", &["10.1.0.9 n2"]);
    state.told(0, Input::Put(well));
    let own = udp(&mut state, "a/dns", &["10.1.0.3 n1"]);
    let others = udp(&mut state, "b/dns", &["10.1.0.4 n1"]);
    let nobodys = udp(&mut state, "dns", &["10.1.0.5 n1"]);
    let shared = udp(&mut state, "a/shared", &["10.1.0.6 n1"]);
    udp(&mut state, "b/shared", &["10.1.0.6 n1"]);
    for address in ["10.1.0.1", "10.1.0.2", "10.1.0.9"] {
        state.told(0, success(address));
    }
    for second in 10..30 {
        time_out(&mut state, second..second + 1, &["10.1.0.1", "10.1.0.2"]);
        state.told(second, success("10.1.0.9"));
    }
    assert!(state.is_ejected(&own[0]));
    for other in [&others, &nobodys, &shared] {
        assert!(!state.is_ejected(&other[0]), "{}", other[0]);
    }
    let late = udp(&mut state, "b/late", &["10.1.0.7 n1"]);
    assert!(!state.is_ejected(&late[0]));

    // A silent backend of another owner, too: it is the node.
    state.told(31, Input::Put(on_nodes("b/web", &["10.1.0.8 n1"])));
    state.told(31, success("10.1.0.8"));
    assert!(!state.is_ejected(&own[0]), "the node answers");
    time_out(&mut state, 32..34, &["10.1.0.8"]);
    for backend in [&own, &others, &nobodys, &shared, &late] {
        assert!(state.is_ejected(&backend[0]), "{}", backend[0]);
    }
    state.told(40, success("10.1.0.1"));
    for backend in [&own, &others, &nobodys, &shared, &late] {
        assert!(!state.is_ejected(&backend[0]), "{}", backend[0]);
    }
}

#[test]
fn what_two_owners_list_counts_for_either_and_not_for_both() {
    let both = ["10.1.0.1 n1", "10.1.0.2 n1"];
    for (lists, a_is_out, c_is_out) in [
        // One owner lists all that are silent.
        (vec![("a/one", &both[..]), ("b/one", &both[..1])], true, false),
        (vec![("a/one", &both[..]), ("b/one", &both[..])], true, false),
        (vec![("a/one", &both[..1]), ("b/one", &both[..1]), ("c/one", &both[1..])], true, true),
        (vec![("a/one", &both[..1]), ("b/one", &both[1..])], true, true),
    ] {
        let lists = lists.into_iter();
        let services = lists.zip(1..).map(|((name, backends), last)| {
            let mut service = on_nodes(name, backends);
            service.frontends[0].address = format!("10.96.1.{last}").parse().expect("an address");
            service
        });
        let mut state = born("", services.collect());
        let a = udp(&mut state, "a/dns", &["10.1.0.3 n1"]);
        let c = udp(&mut state, "c/dns", &["10.1.0.4 n1"]);
        for address in ["10.1.0.1", "10.1.0.2"] {
            state.told(0, success(address));
        }
        time_out(&mut state, 10..12, &["10.1.0.1", "10.1.0.2"]);
        assert_eq!((state.is_ejected(&a[0]), state.is_ejected(&c[0])), (a_is_out, c_is_out));
    }
}

#[test]
fn use_speaks_for_the_owner_whose_backend_is_used() {
    let services = [("a/web", "10.1.0.1 n1"), ("b/web", "10.1.0.2 n1")];
    let services = services.map(|(name, backend)| on_nodes(name, &[backend]));
    let mut state = born("", services.into());
    let used = udp(&mut state, "c/dns", &["10.1.0.3 n1", "10.1.0.4 n1"]);
    let unused = udp(&mut state, "d/dns", &["10.1.0.5 n1"]);
    for address in ["10.1.0.1", "10.1.0.2"] {
        state.told(0, success(address));
    }
    let of_others = [(used[0], Network::OfSystem), (unused[0], Network::OfProcess)];
    state.told(9, Input::Used(of_others.into()));
    time_out(&mut state, 10..12, &["10.1.0.1", "10.1.0.2"]);
    assert!(!state.is_ejected(&used[0]) && !state.is_ejected(&used[1]));
    assert!(state.is_ejected(&unused[0]), "a client of c has no say for d");
}

#[test]
fn a_node_that_has_answered_once_is_not_silent_again_by_what_was_said_before() {
    let mut list = on_nodes("a", &["10.1.0.1 n1", "10.1.0.2 n1"]);
    list.policy.probe = list.policy.probe.map(|probe| Probe { healthy: 3, ..probe });
    let mut state = born("", vec![list]);
    let udp = udp(&mut state, "udp", &["10.1.0.3 n1"]);
    for address in ["10.1.0.1", "10.1.0.2"] {
        state.told(0, success(address));
    }
    time_out(&mut state, 10..12, &["10.1.0.1", "10.1.0.2"]);
    assert!(state.is_ejected(&udp[0]));
    state.told(13, success("10.1.0.1"));
    assert!(!state.is_ejected(&udp[0]));
    state.told(13, failure("10.1.0.2"));
    assert!(state.is_ejected(&backend("10.1.0.1")), "it is to succeed three times");
    assert!(!state.is_ejected(&udp[0]), "but its node is alive");
}

#[test]
fn one_owners_silent_backends_on_many_nodes_do_not_make_this_node_suspect_itself() {
    let mut state = three_owners();
    let mut asked = 0;
    for second in 10..40 {
        time_out(&mut state, second..second + 1, &["10.1.0.1", "10.1.0.2", "10.1.0.3"]);
        // It is asked every half an hour, unless it is asked at once.
        if state.probes()[&backend("10.1.0.4")].urgency > 0 {
            asked += 1;
            let happened = state.told(second, success("10.1.0.4"));
            assert!(!happened.contains(&Transition::NodeSuspect(true)), "{happened:?}");
        }
    }
    assert!(!state.nodes.is_suspect());
    assert!((5..=15).contains(&asked), "{asked} times in 30 s");
}

#[test]
fn a_node_is_suspect_when_the_other_owners_that_it_asks_do_not_answer_either() {
    let mut state = three_owners();
    let mut suspected = None;
    for second in 10..20 {
        for address in ["10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.0.4", "10.1.0.5"] {
            let is_asked = state.probes()[&backend(address)].urgency > 0;
            if is_asked || address < "10.1.0.4" {
                let happened = state.told(second, failure(address));
                if happened.contains(&Transition::NodeSuspect(true)) {
                    suspected.get_or_insert(second);
                }
            }
        }
    }
    assert_eq!(suspected, Some(15));
    assert_eq!(state.told(20, success("10.1.0.5")), [Transition::NodeSuspect(false)]);
}

#[test]
fn a_backend_that_has_moved_leaves_the_silence_of_its_old_node() {
    for is_replaced in [false, true] {
        let list = on_nodes("a", &["10.1.0.1 n1", "10.1.0.2 n1"]);
        let mut state = born("", vec![list.clone()]);
        let moved = udp(&mut state, "udp", &["10.1.0.3 n1"]);
        for address in ["10.1.0.1", "10.1.0.2"] {
            state.told(0, success(address));
        }
        time_out(&mut state, 10..12, &["10.1.0.1", "10.1.0.2"]);
        assert!(state.is_ejected(&moved[0]));
        let elsewhere = of_udp(on_nodes("udp", &["10.1.0.3 n2"]));
        state.told(
            13,
            match is_replaced {
                true => Input::Replace(vec![list, elsewhere]),
                false => Input::Put(elsewhere),
            },
        );
        assert!(!state.is_ejected(&moved[0]), "n2 is not silent");
        assert!(state.is_ejected(&backend("10.1.0.1")));
    }
}

#[test]
fn who_is_another_node_is_seen_anew_when_the_own_cluster_is_another() {
    let mut state = two_clusters("home");
    let udp = udp(&mut state, "udp", &["10.1.0.3 n9", "10.2.0.3 west/n9"]);
    time_out(&mut state, 10..12, &OWN);
    assert!(state.is_ejected(&udp[0]) && !state.is_ejected(&udp[1]));
    state.told(13, here("west"));
    time_out(&mut state, 14..16, &OWN);
    assert!(!state.is_ejected(&udp[0]), "west's replicas on the same node are well");
    time_out(&mut state, 16..18, &WEST);
    assert!(state.is_ejected(&udp[0]) && state.is_ejected(&udp[1]), "it is one node now");
}

/// n9 in zone a: twice, in this cluster and in west; all have answered.
fn two_clusters(own: &str) -> State {
    let places = ["n9", "n9", "west/n9", "west/n9"];
    let backends: Vec<String> =
        OWN.iter().chain(&WEST).zip(places).map(|(one, place)| format!("{one} {place}")).collect();
    let backends: Vec<&str> = backends.iter().map(String::as_str).collect();
    let mut state = born(own, vec![on_nodes("a", &backends)]);
    for address in [OWN, WEST].concat() {
        state.told(0, success(address));
    }
    state
}

/// Three backends of a, on all nodes; one each of b and c, asked rarely.
fn three_owners() -> State {
    let a = on_nodes("a/web", &["10.1.0.1 n1", "10.1.0.2 n2", "10.1.0.3 n3"]);
    let [b, c] = [("b/web", "10.1.0.4 n1"), ("c/web", "10.1.0.5 n2")].map(|(name, backend)| {
        let mut service = on_nodes(name, &[backend]);
        let probe = service.policy.probe.as_mut().expect("it has one");
        probe.interval_ms = 1_800_000;
        service
    });
    let mut state = born("", vec![a, b, c]);
    for last in 1..=5 {
        state.told(0, success(&format!("10.1.0.{last}")));
    }
    state
}

/// A state of node n0 in a cluster with that id, or without an id.
fn born(own: &str, services: Vec<Service>) -> State {
    let mut state = State::new();
    state.told(0, here(own));
    state.told(0, Input::Replace(services));
    state
}

fn here(own: &str) -> Input {
    let cluster = (!own.is_empty()).then(|| own.into());
    Input::Node(Locality { node: Some("n0".into()), cluster, ..Locality::default() })
}

/// Adds a UDP service of these, which cannot be probed.
fn udp(state: &mut State, name: &str, backends: &[&str]) -> Vec<BackendRef> {
    let service = of_udp(on_nodes(name, backends));
    let backends = service.backends.iter().map(|backend| backend.backend).collect();
    state.told(0, Input::Put(service));
    backends
}

fn of_udp(mut service: Service) -> Service {
    for frontend in &mut service.frontends {
        frontend.protocol = Protocol::Udp;
    }
    for listed in &mut service.backends {
        listed.backend.protocol = Protocol::Udp;
    }
    service
}

/// A service whose backends are written `ADDRESS NODE` or `ADDRESS CLUSTER/NODE`, all in zone a. Its
/// frontend is another one than that of other names.
fn on_nodes(name: &str, backends: &[&str]) -> Service {
    let addresses: Vec<&str> =
        backends.iter().filter_map(|one| Some(one.split_once(' ')?.0)).collect();
    let sum = name.bytes().fold(0, |sum: u8, byte| sum.wrapping_mul(31).wrapping_add(byte));
    let mut service = service(name, &format!("10.96.0.{sum}"), &addresses);
    for (listed, written) in service.backends.iter_mut().zip(backends) {
        let (_, place) = written.split_once(' ').expect("ADDRESS NODE");
        let (cluster, node) = match place.split_once('/') {
            Some((cluster, node)) => (Some(cluster.into()), node),
            None => (None, place),
        };
        listed.locality =
            Locality { node: Some(node.into()), zone: Some("a".into()), region: None, cluster };
    }
    service
}

fn time_out(state: &mut State, seconds: std::ops::Range<u64>, addresses: &[&str]) {
    for second in seconds {
        for address in addresses {
            let outcome = Err(ProbeFailure::TimedOut);
            state.told(second, Input::Probed { backend: backend(address), outcome });
        }
    }
}

impl State {
    /// Applies an input, checks what must hold after each, and returns what concerns nodes.
    fn told(&mut self, second: u64, input: Input) -> Vec<Transition> {
        let mut happened = self.apply(input, Moment(Duration::from_secs(second)));
        assert_eq!(*self.tables(), compile(self));
        let refused = happened.iter().find(|one| matches!(one, Transition::Rejected { .. }));
        assert_eq!(refused, None);
        happened.retain(|one| {
            matches!(one, Transition::NodeSuspect(_) | Transition::Ordered(_))
                || matches!(one, Transition::Ejected { by: HealthByte::Operator, .. })
        });
        happened
    }
}
