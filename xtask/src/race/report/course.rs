//! The table of what else was seen: a zone's return, connections that were made before, what a dead
//! agent or proxy cost.

use super::{
    Results,
    cells::{head, number, row, seconds},
};
use crate::race::{contender::Contender, fault::Fault, tally::Figures};

/// A title, and what stands below it for a contender.
type Column<'a> = (&'static str, Box<dyn Fn(Contender) -> String + 'a>);

/// The columns of the faults that happened.
pub(super) fn course_table(results: &Results) -> String {
    let mut columns = Vec::new();
    for fault in results.faults.iter().copied() {
        if fault.has_return() && !results.measure.returns.is_zero() {
            columns.extend(of_return(results, fault));
        }
        if fault.has_established() {
            columns.push(of_established(results, fault));
        }
        if !fault.is_of_replicas() {
            columns.extend(of_death(results, fault));
        }
    }
    let cpu = |one| seconds(results.median_of_all(one, |figures| figures.own_cpu));
    columns.push(("CPU of agent or proxy, seconds a minute", Box::new(cpu)));
    let titles: Vec<_> = columns.iter().map(|(title, _)| *title).collect();
    let mut text = head("What else was seen:", &titles);
    for contender in results.contenders.iter().copied() {
        text += &row(contender, columns.iter().map(|(_, cell)| cell(contender)));
    }
    text
}

fn of_return(results: &Results, fault: Fault) -> [Column<'_>; 3] {
    let first = move |one| seconds(results.median(fault, one, |figures| figures.back?.first));
    let most = move |one| seconds(results.median(fault, one, |figures| figures.back?.most));
    let failed = move |one| number(results.median(fault, one, second));
    [
        ("zone back: first reply, s", Box::new(first)),
        ("95 % of its share, s", Box::new(most)),
        ("failed meanwhile", Box::new(failed)),
    ]
}

fn of_established(results: &Results, fault: Fault) -> Column<'_> {
    let cell = move |one| {
        let of = |figure: fn(&Figures) -> Option<f64>| results.median(fault, one, figure);
        let median = seconds(of(|figures| figures.ended?.median));
        let last = seconds(of(|figures| figures.ended?.last));
        let alive = number(of(|figures| Some(figures.ended?.alive as f64)));
        let all = number(of(|figures| Some(figures.ended?.count as f64)));
        format!("{median}, {last} ({alive} of {all})")
    };
    ("established ended after, s: median, last (never)", Box::new(cell))
}

fn of_death(results: &Results, fault: Fault) -> [Column<'_>; 2] {
    let first = |figures: &Figures| Some(f64::from(figures.failed.count));
    let before = move |one| number(results.median(fault, one, first));
    let after = move |one| number(results.median(fault, one, second));
    [
        ("failed with agent or proxy dead", Box::new(before)),
        ("then one replica killed", Box::new(after)),
    ]
}

/// What failed after what happened second.
fn second(figures: &Figures) -> Option<f64> {
    Some(f64::from(figures.second?.count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::race::{
        report::results::example,
        tally::{Back, Ended, Failed},
    };

    #[test]
    fn a_zone_that_never_came_back_has_no_time() {
        let figures = Figures {
            second: Some(Failed { count: 4, last: Some(1.0) }),
            back: Some(Back { first: Some(33.04), most: None }),
            own_cpu: Some(0.25),
            ..example::figures()
        };
        let results = example::results(Fault::ZoneKilled, Contender::Redirector, vec![figures]);

        let text = course_table(&results);

        assert!(text.ends_with("| redirector | 33.0 | – | 4 | 0.2 |\n"), "{text}");
    }

    #[test]
    fn connections_whose_client_is_not_told_are_counted() {
        let ended = Ended { count: 12, alive: 3, median: Some(2.2), last: Some(8.4) };
        let figures = Figures { ended: Some(ended), ..example::figures() };
        let results = example::results(Fault::ZoneBlackHole, Contender::Haproxy, vec![figures]);

        assert!(course_table(&results).contains("| 2.2, 8.4 (3 of 12) |"));
    }
}
