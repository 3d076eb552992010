use super::{
    super::{cluster::CAST, script::STORY},
    *,
};

const ALL: [ReplicaState; 6] = [ReplicaState::Well; 6];
const REFUSED: Failure = Failure { is_late: false, errno: 111 };
const SILENT: Failure = Failure { is_late: false, errno: 110 };
const LATE: Failure = Failure { is_late: true, errno: 11 };

#[test]
fn a_failover_within_its_window_is_right_and_timed_by_its_last_failure() {
    let act = named("the cluster is down");
    let dials = dials(act, |ms| if ms < 40 { Err(REFUSED) } else { by(2, ms) });

    let outcome = judged(act, &without(&["b1", "b2"], ReplicaState::Dead), &dials);

    assert_eq!(outcome.faults, Vec::<String>::new());
    assert_eq!((outcome.dials, outcome.failed), (400, 8));
    assert_eq!(outcome.failures, BTreeMap::from([(REFUSED, 8)]));
    assert_eq!(outcome.last_failed, Some(Duration::from_millis(35)));
    assert_eq!(outcome.returned, None);
    assert_eq!(serving(&CAST, &outcome.shares), "cluster west");
}

#[test]
fn a_return_is_timed_by_the_first_connect_that_the_replica_serves() {
    let act = named("a1 is back");
    let dials = dials(act, |ms| if ms < 600 { Ok(1) } else { by(0, ms) });

    let outcome = judged(act, &ALL, &dials);

    assert_eq!(outcome.faults, Vec::<String>::new());
    assert_eq!(outcome.returned.map(|(first, _)| first), Some(Duration::from_millis(600)));
}

#[test]
fn a_ramp_is_timed_by_its_first_connect_and_the_last_one_elsewhere() {
    let act = named("all are back: a ramp");
    let share = |ms: u64| ms.saturating_sub(2_400) / 40;
    let dials = dials(act, |ms| by(if ms / 5 * 61 % 100 < share(ms) { 0 } else { 2 }, ms));

    let outcome = judged(act, &ALL, &dials);

    assert_eq!(outcome.faults, Vec::<String>::new());
    let (first, last) = outcome.returned.expect("it returned");
    assert!((2_400..3_000).contains(&first.as_millis()), "{first:?}");
    assert!((5_900..6_400).contains(&last.as_millis()), "{last:?}");
}

#[test]
fn a_return_without_a_ramp_is_a_fault() {
    let act = named("all are back: a ramp");
    let dials = dials(act, |ms| by(if ms < 400 { 2 } else { 0 }, ms));

    let faults = judged(act, &ALL, &dials).faults;

    assert_eq!(faults.len(), 2, "{faults:?}");
    assert_eq!(faults[0], "traffic returned after 400 ms, within 2000 ms");
}

#[test]
fn a_return_during_the_hold_down_and_a_share_that_shrinks_are_faults() {
    let act = named("all are back: a ramp");
    let drawn = |share: u64, ms: u64| by(if ms / 5 * 61 % 100 < share { 0 } else { 2 }, ms);

    let early = dials(act, |ms| drawn(ms.saturating_sub(1_500) / 40, ms));
    let [early] = &judged(act, &ALL, &early).faults[..] else { panic!("one fault") };
    assert!(early.starts_with("traffic returned after 1"), "{early}");
    let share = |ms: u64| ms.saturating_sub(if ms < 5_000 { 2_000 } else { 3_900 }) / 40;
    let back = dials(act, |ms| drawn(share(ms), ms));
    let [shrank] = &judged(act, &ALL, &back).faults[..] else { panic!("one fault") };
    assert!(shrank.starts_with("the share shrank on its way: [0, 0, "), "{shrank}");
}

#[test]
fn a_fail_back_while_the_zone_flaps_is_a_fault() {
    let act = named("zone a flaps");
    let dials = dials(act, |ms| by(usize::from(!(1_500..1_600).contains(&ms)), ms));

    let faults = judged(act, &without(&["a1", "a2"], ReplicaState::Dead), &dials).faults;

    assert_eq!(faults, ["20 connects went beside zone b"]);
}

#[test]
fn a_failure_where_nothing_was_lost_is_a_fault() {
    let act = named("all are back: a ramp");
    let share = |ms: u64| ms.saturating_sub(2_400) / 40;
    let good = |ms| by(if ms / 5 * 61 % 100 < share(ms) { 0 } else { 2 }, ms);
    let dials = dials(act, |ms| if ms == 700 { Err(REFUSED) } else { good(ms) });

    let faults = judged(act, &ALL, &dials).faults;

    assert_eq!(faults, ["connects failed, and none may: 1, the last at 700 ms"]);
}

#[test]
fn a_late_failure_and_too_many_of_them_are_faults() {
    let act = named("a1 is killed: it refuses");
    let states = without(&["a1"], ReplicaState::Dead);

    let late = dials(act, |ms| if ms == 1_300 { Err(REFUSED) } else { Ok(1) });
    let faults = judged(act, &states, &late).faults;
    assert_eq!(faults, ["a connect failed 1300 ms after the event; at most 1250 ms are allowed"]);
    let many = dials(act, |ms| if ms < 100 { Err(REFUSED) } else { Ok(1) });
    let faults = judged(act, &states, &many).faults;
    assert_eq!(faults, ["20 connects failed; at most 15 are allowed"]);
}

#[test]
fn connections_that_end_with_their_process_are_not_blamed_on_the_choice() {
    let act = named("a1 is killed: it refuses");
    let reset = Failure { is_late: true, errno: 104 };
    let dials = dials(act, |ms| if ms < 100 { Err(reset) } else { Ok(1) });

    let outcome = judged(act, &without(&["a1"], ReplicaState::Dead), &dials);

    assert_eq!(outcome.faults, Vec::<String>::new());
    assert_eq!(outcome.failed, 20);
}

#[test]
fn a_connect_that_takes_long_is_a_fault_also_when_it_succeeds() {
    let act = named("a2 is a black hole");
    let mut dials = dials(act, |ms| if ms < 300 { Err(SILENT) } else { Ok(0) });
    dials[7].connect = Duration::from_millis(306);
    let states = without(&["a2"], ReplicaState::Mute);

    let outcome = judged(act, &states, &dials);
    assert_eq!(outcome.faults, Vec::<String>::new());
    assert_eq!(outcome.longest, Duration::from_millis(306));
    dials[300].connect = Duration::from_millis(1_001);
    let faults = judged(act, &states, &dials).faults;
    assert_eq!(faults, ["a connect took 1001 ms; at most 800 ms are allowed"]);
}

#[test]
fn answers_that_do_not_come_are_failures_of_their_own_kind() {
    let act = named("a1 hangs, but accepts");
    let is_lost = |ms| (1_000..1_500).contains(&ms) && ms % 10 == 0;
    let dials = dials(act, |ms| if is_lost(ms) { Err(LATE) } else { Ok(1) });

    let outcome = judged(act, &without(&["a1"], ReplicaState::Mute), &dials);

    assert_eq!(outcome.faults, Vec::<String>::new());
    assert_eq!(outcome.failures, BTreeMap::from([(LATE, 50)]));
    assert_eq!(outcome.last_failed, Some(Duration::from_millis(1_490)));
}

#[test]
fn the_wrong_tier_and_an_idle_replica_are_faults() {
    let act = named("the cluster is down");
    let states = without(&["b1", "b2"], ReplicaState::Dead);

    let faults = judged(act, &states, &dials(act, |ms| by(0, ms))).faults;
    assert_eq!(
        faults,
        [
            "a1 still serves at the end",
            "a2 still serves at the end",
            "w1 does not serve at the end",
            "w2 does not serve at the end"
        ]
    );
    let faults = judged(act, &states, &dials(act, |_| Ok(4))).faults;
    assert_eq!(faults, ["w2 does not serve at the end"]);
}

#[test]
fn a_connect_to_a_tier_that_should_be_passed_over_is_a_fault() {
    let act = Act { course: Course::PassedOver(2), ..*named("the cluster is down") };
    let act: &'static Act = Box::leak(Box::new(act));
    let states = without(&["b1", "b2"], ReplicaState::Dead);
    let with = |failure| {
        let dials = dials(act, |ms| if ms < 40 { Err(failure) } else { by(2, ms) });
        judged(act, &states, &dials).faults
    };

    assert_eq!(with(REFUSED), Vec::<String>::new());
    assert_eq!(with(SILENT), ["8 connects went where nothing answers (errno 110)"]);
}

#[test]
fn silence_is_a_fault() {
    let outcome = judged(&STORY[0], &ALL, &[]);

    assert_eq!(outcome.faults, ["only 0 dials at the end"]);
    assert_eq!(outcome.last_failed, None);
    assert_eq!(serving(&CAST, &outcome.shares), "nobody");
}

fn named(event: &str) -> &'static Act {
    STORY.iter().find(|act| act.event == event).expect("an act of the story")
}

fn without(names: &[&str], state: ReplicaState) -> [ReplicaState; 6] {
    std::array::from_fn(|who| {
        if names.contains(&CAST.members[who].name) { state } else { ReplicaState::Well }
    })
}

/// One dial every 5 ms, each as `outcome` says for the milliseconds since the event.
fn dials(act: &Act, outcome: impl Fn(u64) -> Result<usize, Failure>) -> Vec<Dial> {
    let dial = |ms| Dial {
        ended: Duration::from_millis(ms),
        connect: Duration::from_micros(90),
        outcome: outcome(ms),
    };
    (0..act.lasts.as_millis() as u64).step_by(5).map(dial).collect()
}

/// A dial served by the two replicas of a tier in turn.
fn by(tier: usize, ms: u64) -> Result<usize, Failure> {
    Ok(2 * tier + usize::from(ms % 10 == 5))
}

fn judged(act: &'static Act, states: &[ReplicaState; 6], dials: &[Dial]) -> Outcome {
    judge(&CAST, act, &(Duration::ZERO..act.lasts), states, dials)
}
