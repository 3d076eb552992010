//! The tables, in Markdown.

use std::fmt::Write as _;

use super::{
    Results,
    cells::{failed, head, row, with_ratio},
    course::course_table,
};
use crate::race::{
    contender::Contender,
    fault::Fault,
    tally::{Failed, Figures},
};

/// All tables, with what a reader must know of the runs.
pub(in crate::race) fn markdown(results: &Results) -> String {
    let Results { measure, runs, contenders, absent, stalls, complaints, .. } = results;
    let runs = if *runs == 1 { "One run".to_owned() } else { format!("Medians of {runs} runs") };
    let mut text = format!(
        "{runs}, {} attempts a second for each contender, {} s from each fault on; {} \
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
    for (contender, speeds) in &results.speeds {
        let failed = speeds.iter().map(|speed| speed.failed).sum::<usize>();
        if failed > 0 {
            let _ = write!(text, "\n- {} lost {failed} attempts without a fault", contender.name());
        }
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
    use super::*;
    use crate::race::{install::Absent, report::results::example, speed::Speed};

    #[test]
    fn a_cell_is_the_median_of_the_runs_and_a_row_says_who_is_absent() {
        let run = |count, last| Figures { failed: Failed { count, last }, ..example::figures() };
        let runs = vec![run(3, Some(0.1)), run(0, None), run(9, Some(0.3))];
        let mut results = example::results(Fault::OneKilled, Contender::Redirector, runs);
        let absent = Absent { contender: Contender::Haproxy, why: "no package".to_owned() };
        results.absent = vec![absent];

        let text = markdown(&results);

        assert!(
            text.contains("| | one killed |\n|---|---|\n| redirector | **3 [0.2]** |\n"),
            "{text}"
        );
        assert!(text.contains("- haproxy did not take part: no package"), "{text}");
        assert!(!text.contains("before any fault") && !text.contains("too few"), "{text}");
    }

    #[test]
    fn a_lab_that_is_at_fault_says_so() {
        let figures = Figures { before: 2, attempts: 2900, ..example::figures() };
        let mut results = example::results(Fault::OneHung, Contender::Direct, vec![figures]);
        let speed = Speed { p50: 60.0, rate: 9000.0, clients_cpu: 50.0, own_cpu: 0.0, failed: 7 };
        results.speeds.insert(Contender::Direct, vec![speed]);

        let text = markdown(&results);

        assert!(text.contains("| direct | 60 (1.00) | 9000 (1.00) | 50 (1.00) | 0 |"), "{text}");
        assert!(text.contains("- direct lost 7 attempts without a fault"), "{text}");
        assert!(text.contains("- direct lost 2 attempts before any fault"), "{text}");
        assert!(text.contains("- direct made 99 attempts too few"), "{text}");
    }
}
