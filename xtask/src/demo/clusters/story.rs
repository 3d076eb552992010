//! The story of `--clusters`: replicas, a zone and clusters are lost, and of clusters the API server, the
//! pods, and both.

use super::super::script::{Act, Change, Course, act};

const A1: &[&str] = &["a1"];
const A2: &[&str] = &["a2"];
const A: &[&str] = &["a1", "a2"];
const B: &[&str] = &["b1", "b2"];

pub(in super::super) static STORY: [Act; 12] = [
    act("all replicas are up", &[], Course::Steady, 0, 1_500),
    act("a1 is killed: it refuses", &[(0, Change::Kill(A1))], Course::Refused(1), 0, 2_000),
    act("zone a is down", &[(0, Change::Kill(A2))], Course::Refused(1), 1, 2_000),
    act("east is down", &[(0, Change::Kill(B))], Course::Refused(2), 2, 2_500),
    act("the importer restarts", IMPORTER, Course::Steady, 2, 6_500),
    act("west's API is cut off", API, Course::Steady, 2, 5_500),
    act("west's pods are, too", &[(0, Change::CutPods("west"))], Course::Silent(2), 3, 3_500),
    act("west is back: a ramp", BACK, Course::Ramp, 2, 10_000),
    act("only its pods are cut", &[(0, Change::CutPods("west"))], Course::Silent(2), 3, 3_500),
    act("all are back: a ramp", ALL_BACK, Course::Ramp, 0, 9_500),
    act("west is lost, unused", LOST, Course::Steady, 0, 6_000),
    act(
        "east is down as well",
        &[(0, Change::Kill(A)), (0, Change::Kill(B))],
        Course::PassedOver(4),
        3,
        2_500,
    ),
];

/// The next one leads once the Lease of 6 s has run out.
const IMPORTER: &[(u64, Change)] = &[(0, Change::KillImporter), (0, Change::StartImporter)];
const API: &[(u64, Change)] =
    &[(0, Change::CutApi("west")), (4_500, Change::Run("kubectl get remoteclusters"))];
const BACK: &[(u64, Change)] = &[(0, Change::HealApi("west")), (0, Change::HealPods("west"))];
const ALL_BACK: &[(u64, Change)] =
    &[(0, Change::HealPods("west")), (0, Change::Start(A)), (0, Change::Start(B))];
const LOST: &[(u64, Change)] = &[(0, Change::CutApi("west")), (0, Change::CutPods("west"))];

/// Why the numbers are what they are, beside what holds of one cluster.
pub(in super::super) const MEANING: &str =
    " a cluster   is silent after 3 s without a heartbeat of its exporter. Its
             endpoints stay, if they answer: while only its API server is away
             no connect fails. Those that do not answer are out within 5 s,
             also if no client has dialled one (\"east is down as well\")
 encryption  is off here: this build cannot tell whether a path is encrypted
";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{
        super::{CAST, NAMES, NODES, is_in},
        *,
    };
    use crate::demo::script::{LONGEST_EVENT, SETTLED};

    #[test]
    fn it_ends_in_time_and_every_act_outlasts_its_window() {
        let total = STORY.iter().map(|act| act.lasts).sum::<Duration>();
        assert!(total <= Duration::from_secs(60), "{total:?}");
        for act in &STORY {
            let (within, _) = act.course.may_fail();
            assert!(within + SETTLED <= act.lasts, "{}", act.event);
            assert!(act.event.len() <= LONGEST_EVENT, "{}", act.event);
            assert!(act.served_by < CAST.tiers.len());
        }
        // Silence takes 3 s to be noticed and 2 s to be judged.
        let silent =
            STORY.iter().filter(|act| act.course == Course::Steady && act.changes.len() > 1);
        let silent = silent.filter(|act| matches!(act.changes[0].1, Change::CutApi(_)));
        for act in silent {
            assert!(act.lasts >= Duration::from_millis(5_500), "{}", act.event);
        }
    }

    #[test]
    fn each_replica_is_where_its_node_is_and_in_one_cluster() {
        for member in CAST.members {
            let number = NODES.iter().position(|node| *node == member.node).expect("a node") + 1;
            assert_eq!(usize::from(member.address.octets()[2]), number, "{}", member.name);
            let clusters = NAMES.iter().filter(|name| is_in(name, member.node)).count();
            assert_eq!(clusters, 1, "{}", member.node);
        }
        for (cluster, base) in [("west", 8), ("north", 10)] {
            for member in CAST.members {
                let third = member.address.octets()[2];
                assert_eq!(third & !1 == base, is_in(cluster, member.node), "{}", member.name);
            }
        }
    }
}
