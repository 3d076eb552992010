//! The table at the end: each event, who served after it, what it cost.

use std::{collections::BTreeMap, time::Duration};

use nix::errno::Errno;

use super::{
    cluster::RATE,
    script::{
        CONNECT_TIMEOUT, Course, DIAL_TIMEOUT, HOLD_DOWN, PROBE_COUNT, PROBE_INTERVAL,
        PROBE_TIMEOUT, RAMP, REFUSED, TIMEOUTS,
    },
    tally::{Failure, Outcome, ms, serving},
};

const HEAD: [&str; 6] = ["event", "served by", "failed", "last after", "longest", "back after"];
const RULE: [&str; 6] =
    ["------------------------", "---------", "------", "----------", "-------", "------------"];

/// The table and what it means.
pub(super) fn text(outcomes: &[Outcome]) -> String {
    let line = |[event, by, failed, last, longest, back]: [&str; 6]| {
        format!(" {event:<24}  {by:<9} {failed:>6}  {last:>10}  {longest:>7}  {back:>12}\n")
    };
    let rows = outcomes.iter().map(|outcome| line(row(outcome).each_ref().map(String::as_str)));
    let rows: String = [line(HEAD), line(RULE)].into_iter().chain(rows).collect();
    format!("\n{rows}\n{}{}", verdict(outcomes), meaning())
}

/// What came of an act, in a few words.
pub(super) fn told(outcome: &Outcome) -> String {
    let by = serving(outcome.cast, &outcome.shares);
    let failed = match (outcome.failed, outcome.last_failed) {
        (0, _) | (_, None) => "none failed".to_owned(),
        (failed, Some(last)) => format!("{failed} failed, the last after {}", ms(last)),
    };
    match outcome.returned {
        Some(returned) => format!("{by} after {}, {failed}", back(outcome, returned)),
        None => format!("{by}, {failed}"),
    }
}

fn row(outcome: &Outcome) -> [String; 6] {
    let serving_members =
        outcome.cast.members.iter().zip(&outcome.shares).filter(|(_, share)| **share > 0);
    let names: Vec<&str> = serving_members.map(|(member, _)| member.name).collect();
    let or_dash = |cell: Option<String>| cell.unwrap_or_else(|| "-".to_owned());
    [
        outcome.act.event.to_owned(),
        names.join(" "),
        outcome.failed.to_string(),
        or_dash(outcome.last_failed.map(ms)),
        ms(outcome.longest),
        or_dash(outcome.returned.map(|returned| back(outcome, returned))),
    ]
}

/// When a tier was back; of a ramp, its begin and its end.
fn back(outcome: &Outcome, (first, last): (Duration, Duration)) -> String {
    if outcome.act.course == Course::Ramp {
        format!("{:.1} to {:.1} s", first.as_secs_f64(), last.as_secs_f64())
    } else {
        ms(first)
    }
}

fn verdict(outcomes: &[Outcome]) -> String {
    let mut failures = BTreeMap::<Failure, usize>::new();
    for (failure, count) in outcomes.iter().flat_map(|outcome| &outcome.failures) {
        *failures.entry(*failure).or_default() += count;
    }
    let dials: usize = outcomes.iter().map(|outcome| outcome.dials).sum();
    let failed: usize = failures.values().sum();
    let mut text = format!(" {dials} connects at {RATE} a second, {failed} failed");
    if failed > 0 {
        let failures =
            failures.iter().map(|(failure, count)| format!("{count} {}", name(*failure)));
        text += &format!(":\n {}", failures.collect::<Vec<_>>().join(", "));
    }
    text += ".\n\n";
    for outcome in outcomes {
        for fault in &outcome.faults {
            text += &format!(" WRONG after \"{}\": {fault}\n", outcome.act.event);
        }
    }
    if outcomes.iter().all(|outcome| outcome.faults.is_empty()) {
        text += " Everything came out as it should.\n";
    }
    text
}

/// Why the numbers are what they are.
fn meaning() -> String {
    let (interval, timeout) = (ms(PROBE_INTERVAL), ms(PROBE_TIMEOUT));
    let (bound, dial_timeout) = (ms(CONNECT_TIMEOUT), ms(DIAL_TIMEOUT));
    let (soonest, latest) = (PROBE_INTERVAL * (PROBE_COUNT - 1), PROBE_INTERVAL * PROBE_COUNT);
    let (soonest, latest) = (soonest.as_millis(), ms(latest));
    let (hold_down, ramp) = (HOLD_DOWN.as_secs(), RAMP.as_secs());
    format!(
        "
 longest     of all calls of connect(), successful or not
 refused     the kernel leads a client elsewhere after {REFUSED} refused connects,
             also without an agent (it tries again after 1, 2, 4 ... 60 s), and
             asks the agent, whose probe decides for all; alone, probes would
             take {soonest} to {latest}
 black hole  the same after {TIMEOUTS} connects without an answer, of which none takes
             longer than {bound}
 hung        the system accepts for the process, so connects succeed; only HTTP
             probes (every {interval}, {PROBE_COUNT} failures of {timeout}) see it. What failed
             are the answers, after the {dial_timeout} that the client waits for one
 return      {PROBE_COUNT} probes must succeed; a zone or cluster that has lost its traffic
             must then be well for {hold_down} s, and its share grows over {ramp} s
"
    )
}

fn name(failure: Failure) -> String {
    match failure {
        Failure { errno: 0, .. } => "cut short".to_owned(),
        Failure { is_late: true, errno } if Errno::from_raw(errno) == Errno::EAGAIN => {
            "accepted and not answered".to_owned()
        }
        Failure { is_late: true, errno } => {
            format!("{:?} after the connect", Errno::from_raw(errno))
        }
        Failure { is_late: false, errno } => format!("{:?}", Errno::from_raw(errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{cluster::CAST, script::STORY},
        *,
    };

    #[test]
    fn the_summary_has_a_row_per_event_and_owns_up_to_failures() {
        let silent = Failure { is_late: false, errno: 110 };
        let late = Failure { is_late: true, errno: 11 };
        let mut hole = outcome("a2 is a black hole", &[(silent, 30), (late, 2)]);
        hole.last_failed = Some(Duration::from_millis(612));
        hole.longest = Duration::from_millis(309);
        let mut back = outcome("a2 is back", &[]);
        back.returned = Some((Duration::from_millis(416), Duration::from_millis(2_499)));
        let mut ramp = outcome("all are back: a ramp", &[]);
        ramp.returned = Some((Duration::from_millis(2_449), Duration::from_millis(6_390)));
        let outcomes = [hole, back, ramp];

        let text = text(&outcomes);

        let rows: Vec<&str> = text.lines().collect();
        assert!(rows.iter().all(|row| row.chars().count() <= 80), "{text}");
        let cells: Vec<&str> = rows[3].split("  ").filter(|cell| !cell.is_empty()).collect();
        let cells: Vec<&str> = cells.into_iter().map(str::trim).collect();
        assert_eq!(cells, ["a2 is a black hole", "b1 b2", "32", "612 ms", "309 ms", "-"], "{text}");
        assert!(rows[4].ends_with("    416 ms"), "{text}");
        assert!(rows[5].ends_with("2.4 to 6.4 s"), "{text}");
        assert!(text.contains("1500 connects at 200 a second, 32 failed:"), "{text}");
        assert!(text.contains(" 30 ETIMEDOUT, 2 accepted and not answered.\n"), "{text}");
        assert!(text.contains("Everything came out as it should."));
    }

    #[test]
    fn a_fault_is_told_in_place_of_success() {
        let mut bad = outcome("zone a is down", &[]);
        bad.faults.push("b1 does not serve at the end".to_owned());

        let text = text(&[bad]);

        assert!(text.contains(": b1 does not serve at the end"), "{text}");
        assert!(!text.contains("Everything came out"));
    }

    fn outcome(event: &str, failures: &[(Failure, usize)]) -> Outcome {
        Outcome {
            cast: &CAST,
            act: STORY.iter().find(|act| act.event == event).expect("an act of the story"),
            dials: 500,
            failed: failures.iter().map(|(_, count)| count).sum(),
            failures: failures.iter().copied().collect(),
            last_failed: None,
            longest: Duration::from_millis(1),
            returned: None,
            shares: vec![0, 0, 49, 51, 0, 0],
            faults: Vec::new(),
        }
    }
}
