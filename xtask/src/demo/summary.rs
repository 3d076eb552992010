//! The table at the end: each event, who served after it, what it cost.

use std::{collections::BTreeMap, time::Duration};

use nix::errno::Errno;

use super::{
    cast::{MEMBERS, RATE},
    script::{PROBE_COUNT, PROBE_INTERVAL, PROBE_TIMEOUT},
    tally::{Outcome, serving},
};

/// The table and what it means.
pub(super) fn text(outcomes: &[Outcome]) -> String {
    let rows: Vec<[String; 5]> = outcomes.iter().map(row).collect();
    let head = ["event", "served by", "connects", "failed", "time to fail over"].map(str::to_owned);
    let widths: [usize; 5] = std::array::from_fn(|column| {
        let cells = rows.iter().chain([&head]).map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    });
    let line = |row: &[String; 5]| {
        let [event, by, dials, failed, time] = row;
        let [a, b, c, d, e] = widths;
        format!("  {event:<a$}  {by:<b$}  {dials:>c$}  {failed:>d$}  {time:>e$}\n")
    };
    let mut text = format!("\n{}", line(&head));
    text += &line(&widths.map(|width| "-".repeat(width)));
    text.extend(rows.iter().map(line));
    text + "\n" + &verdict(outcomes)
}

/// What came of an event, in a few words.
pub(super) fn told(outcome: &Outcome) -> String {
    let failed = match outcome.failed {
        0 => "no connect failed".to_owned(),
        1 => "1 connect failed".to_owned(),
        failed => format!("{failed} connects failed"),
    };
    match outcome.recovered {
        Some(time) => format!("{} after {}, {failed}", serving(&outcome.shares), ms(time)),
        None => format!("{}, {failed}", serving(&outcome.shares)),
    }
}

fn row(outcome: &Outcome) -> [String; 5] {
    let serving_members = MEMBERS.iter().zip(outcome.shares).filter(|(_, share)| *share > 0);
    let names: Vec<&str> = serving_members.map(|(member, _)| member.name).collect();
    let by = format!("{} ({})", serving(&outcome.shares), names.join(" "));
    let time = match outcome.recovered {
        Some(time) if outcome.act.is_loss() => ms(time),
        // Nobody waits for a fail-back.
        Some(time) => format!("(back in {})", ms(time)),
        None => "-".to_owned(),
    };
    let failed = outcome.failed.to_string();
    [outcome.act.event.to_owned(), by, outcome.dials.to_string(), failed, time]
}

fn verdict(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    let mut errors = BTreeMap::<i32, usize>::new();
    for (errno, count) in outcomes.iter().flat_map(|outcome| &outcome.errors) {
        *errors.entry(*errno).or_default() += count;
    }
    let dials: usize = outcomes.iter().map(|outcome| outcome.dials).sum();
    let failed: usize = errors.values().sum();
    let errors: Vec<String> =
        errors.iter().map(|(errno, count)| format!("{count} {}", name(*errno))).collect();
    text += &format!("  {dials} connects at {RATE} a second, {failed} failed");
    if failed > 0 {
        text += &format!(
            " ({}).\n  They failed between a death and its ejection: probes look every {},\n  and \
             eject after {PROBE_COUNT} failures of at most {} each.",
            errors.join(", "),
            ms(PROBE_INTERVAL),
            ms(PROBE_TIMEOUT),
        );
    }
    text += "\n\n";
    for outcome in outcomes {
        for fault in &outcome.faults {
            text += &format!("  WRONG after \"{}\": {fault}\n", outcome.act.event);
        }
    }
    if outcomes.iter().all(|outcome| outcome.faults.is_empty()) {
        text += "  Everything came out as it should.\n";
    }
    text
}

fn name(errno: i32) -> String {
    match errno {
        0 => "cut short".to_owned(),
        errno => format!("{:?}", Errno::from_raw(errno)),
    }
}

fn ms(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}

#[cfg(test)]
mod tests {
    use super::{super::script::STORY, *};

    fn outcome(act: usize, failed: usize, recovered: Option<u64>) -> Outcome {
        Outcome {
            act: &STORY[act],
            dials: 500,
            failed,
            errors: (failed > 0).then_some((111, failed)).into_iter().collect(),
            recovered: recovered.map(Duration::from_millis),
            shares: [0, 0, 49, 51, 0, 0],
            faults: Vec::new(),
        }
    }

    #[test]
    fn the_summary_has_a_row_per_event_and_owns_up_to_failures() {
        let outcomes = [outcome(0, 0, None), outcome(2, 42, Some(412)), outcome(4, 0, Some(600))];

        let text = text(&outcomes);

        let rows: Vec<&str> = text.lines().collect();
        assert_eq!(rows[1].trim_end().len(), rows[2].len());
        assert!(rows[3].contains("zone b (b1 b2)") && rows[3].ends_with('-'));
        assert!(rows[4].ends_with("412 ms"), "{text}");
        assert!(rows[5].ends_with("(back in 600 ms)"), "{text}");
        assert!(text.contains("1500 connects at 200 a second, 42 failed (42 ECONNREFUSED)"));
        assert!(text.contains("Everything came out as it should."));
    }

    #[test]
    fn a_fault_is_told_in_place_of_success() {
        let mut bad = outcome(2, 0, None);
        bad.faults.push("b1 does not serve at the end".to_owned());

        let text = text(&[bad]);

        assert!(text.contains(": b1 does not serve at the end"), "{text}");
        assert!(!text.contains("Everything came out"));
    }
}
