//! The tables, in Markdown.

use std::fmt::Write as _;

use super::{
    Results,
    cells::{failed, head, number, row, seconds, with_ratio},
};
use crate::race::{
    contender::Contender,
    fault::Fault,
    tally::{Failed, Figures},
};

/// All tables, with what a reader must know of the runs.
pub(in crate::race) fn markdown(results: &Results) -> String {
    let Results { measure, runs, contenders, absent, stalls, complaints, .. } = results;
    let mut text = format!(
        "Medians of {runs} runs, {} attempts a second for each contender, {} s from each fault on; {} \
         contenders at once.\n",
        measure.rate,
        measure.lasts.as_secs(),
        contenders.len()
    );
    if results.of_replicas().next().is_some() {
        text += &failed_table(
            results,
            "Failed attempts [seconds from the fault to the begin of the last one]:",
            |figures| figures.failed,
        );
        text += &failed_table(
            results,
            "The same of a client that makes one attempt after the other:",
            |figures| figures.serial,
        );
    }
    text += &course_table(results);
    text += &speed_table(results);
    for absence in absent {
        let _ = write!(text, "\n- {} did not take part: {}", absence.contender.name(), absence.why);
    }
    for (contender, failed) in results.sums(|figures| figures.before) {
        let _ = write!(text, "\n- {} lost {failed} attempts before any fault", contender.name());
    }
    // One may be missing where a fault begins or ends.
    let missing = |figures: &Figures| figures.planned.saturating_sub(figures.attempts + 1);
    for (contender, missing) in results.sums(missing) {
        let _ = write!(text, "\n- {} made {missing} attempts too few", contender.name());
    }
    // What comes after the first line is the agent's log.
    for complaint in complaints.iter().filter_map(|complaint| complaint.lines().next()) {
        let _ = write!(text, "\n- {complaint}");
    }
    let _ = writeln!(
        text,
        "\n- The machine stalled {} times for more than 20 ms while clients were watched, for {:.1} s in \
         all, {} ms at most; no fault took longer than {} ms to happen to all.",
        stalls.count,
        stalls.total.as_secs_f64(),
        stalls.longest.as_millis(),
        results.longest_fault.as_millis()
    );
    text
}

fn failed_table(results: &Results, title: &str, of: impl Fn(&Figures) -> Failed) -> String {
    let names: Vec<_> = results.of_replicas().map(Fault::name).collect();
    let mut text = head(title, &names);
    let count = |fault, contender: &Contender| {
        results.median(fault, *contender, |figures| Some(f64::from(of(figures).count)))
    };
    for contender in &results.contenders {
        let cells = results.of_replicas().map(|fault| {
            let (own, all) = (count(fault, contender), results.contenders.iter());
            let best = all.filter_map(|one| count(fault, one)).reduce(f64::min);
            let last = results.median(fault, *contender, |figures| of(figures).last);
            if own == best { format!("**{}**", failed(own, last)) } else { failed(own, last) }
        });
        text += &row(*contender, cells);
    }
    text
}

/// What else was seen: a zone's return, connections that were made before, a dead agent or proxy.
fn course_table(results: &Results) -> String {
    let mut columns: Vec<&str> = Vec::new();
    let (mut returns, mut held, mut agents) = (None, None, None);
    for fault in results.faults.iter().copied() {
        if fault.has_return() && !results.measure.returns.is_zero() {
            returns = Some(fault);
            columns.extend(["zone back: first reply, s", "95 %, s", "failed"]);
        }
        if fault.has_established() {
            held = Some(fault);
            columns.push("established ended after, s: median, last (never)");
        }
        if !fault.is_of_replicas() {
            agents = Some(fault);
            columns.extend(["failed with agent or proxy dead", "then one replica killed"]);
        }
    }
    if columns.is_empty() {
        return String::new();
    }
    let mut text = head("Return, established connections, a dead agent:", &columns);
    for contender in results.contenders.iter().copied() {
        let second = |figures: &Figures| Some(f64::from(figures.second?.count));
        let mut cells = Vec::new();
        if let Some(fault) = returns {
            let of = |figure: fn(&Figures) -> Option<f64>| results.median(fault, contender, figure);
            cells.push(seconds(of(|figures| figures.back?.first)));
            cells.push(seconds(of(|figures| figures.back?.most)));
            cells.push(number(of(second)));
        }
        if let Some(fault) = held {
            let of = |figure: fn(&Figures) -> Option<f64>| results.median(fault, contender, figure);
            let median = seconds(of(|figures| figures.ended?.median));
            let last = seconds(of(|figures| figures.ended?.last));
            let alive = of(|figures| Some(figures.ended?.alive as f64));
            let all = of(|figures| Some(figures.ended?.count as f64));
            cells.push(format!("{median}, {last} ({} of {})", number(alive), number(all)));
        }
        if let Some(fault) = agents {
            let before = |figures: &Figures| Some(f64::from(figures.failed.count));
            cells.push(number(results.median(fault, contender, before)));
            cells.push(number(results.median(fault, contender, second)));
        }
        text += &row(contender, cells.into_iter());
    }
    text
}

fn speed_table(results: &Results) -> String {
    if results.speeds.is_empty() {
        return String::new();
    }
    let columns = [
        "attempt alone, p50, µs",
        "attempts a second at saturation",
        "CPU of client and proxy for each, µs",
        "of which agent or proxy, µs",
    ];
    let mut text = head("Without a fault, (to direct):", &columns);
    for contender in results.contenders.iter().copied() {
        let cells = [
            results.speed(contender, |speed| speed.p50),
            results.speed(contender, |speed| speed.rate),
            results.speed(contender, |speed| speed.clients_cpu + speed.own_cpu),
            results.speed(contender, |speed| speed.own_cpu).map(|(own, _)| (own, None)),
        ];
        text += &row(contender, cells.into_iter().map(with_ratio));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use super::*;
    use crate::race::{course::Measure, install::Absent, stalls::Stalls};

    #[test]
    fn a_cell_is_the_median_of_the_runs_and_a_row_says_who_is_absent() {
        let figures = |count, last| Figures {
            attempts: 3000,
            planned: 3000,
            before: 0,
            failed: Failed { count, last },
            serial: Failed::default(),
            second: None,
            back: None,
            ended: None,
        };
        let key = (Fault::OneKilled, Contender::Redirector);
        let runs = vec![figures(3, Some(0.1)), figures(0, None), figures(9, Some(0.3))];
        let results = Results {
            measure: Measure { rate: 100, lasts: Duration::from_secs(30), returns: Duration::ZERO },
            runs: 3,
            contenders: vec![Contender::Redirector],
            absent: vec![Absent { contender: Contender::Haproxy, why: "no package".to_owned() }],
            faults: vec![Fault::OneKilled],
            figures: BTreeMap::from([(key, runs)]),
            speeds: BTreeMap::new(),
            stalls: Stalls::default(),
            longest_fault: Duration::ZERO,
            complaints: Vec::new(),
        };

        let text = markdown(&results);

        assert!(
            text.contains("| | one killed |\n|---|---|\n| redirector | **3 [0.2]** |\n"),
            "{text}"
        );
        assert!(text.contains("- haproxy did not take part: no package"), "{text}");
        assert!(!text.contains("before any fault") && !text.contains("too few"), "{text}");
    }
}
