//! Shows the demo while it runs: a table redrawn in place on a terminal, else lines.

use std::{
    env,
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

use super::{
    cluster::{Cast, RATE, ReplicaState, SERVICE},
    script::LONGEST_EVENT,
    summary,
    tally::{self, Dial, Outcome},
};

/// The table's rates are those of this last stretch.
const WINDOW: Duration = Duration::from_millis(500);
const SECOND: Duration = Duration::from_secs(1);
/// Cells of the longest bar: all dials at one replica.
const BAR: usize = 30;
/// Of the acts so many are shown, the last ones, less the replicas: all fits into 24 lines.
const ROWS: usize = 16;

const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const CYAN: &str = "\x1b[36m";
const PLAIN: &str = "\x1b[0m";

/// What there is to see at one moment.
pub(super) struct View<'a> {
    pub(super) cast: &'static Cast,
    /// When the client began.
    pub(super) start: Duration,
    pub(super) now: Duration,
    /// What has happened last.
    pub(super) event: &'a str,
    pub(super) states: Vec<ReplicaState>,
    /// All dials so far, roughly in order.
    pub(super) dials: &'a [Dial],
    /// The acts that are over.
    pub(super) outcomes: &'a [Outcome],
}

/// Where the demo is shown. Dropping it gives a terminal back as it was.
pub(super) enum Screen {
    /// Redraws so many lines in place.
    Table { height: usize },
    /// Prints one line a second, for logs and pipes, and what is new: events and outcomes.
    Lines { next: Duration, event: String, told: usize },
}

impl Screen {
    /// A table, unless stdout is no terminal, or one that cannot move its cursor.
    pub(super) fn open() -> Self {
        let is_dumb = env::var_os("TERM").is_none_or(|term| term == "dumb");
        if is_dumb || !io::stdout().is_terminal() {
            return Self::Lines { next: Duration::ZERO, event: String::new(), told: 0 };
        }
        // No cursor, and long lines are cut instead of wrapped.
        print!("\x1b[?25l\x1b[?7l");
        Self::Table { height: 0 }
    }

    pub(super) fn is_table(&self) -> bool {
        matches!(self, Self::Table { .. })
    }

    /// Shows `view`; as lines, if it is time to.
    pub(super) fn show(&mut self, view: &View<'_>) {
        match self {
            Self::Table { height } => {
                let (top, lines) = (top(*height), table(view));
                *height = lines.len();
                print!("{top}{}\x1b[K\n\x1b[J", lines.join("\x1b[K\n"));
            }
            Self::Lines { next, event, told } => {
                let elapsed = view.now - view.start;
                let time = format!("{:5.1} s", elapsed.as_secs_f64());
                for outcome in view.outcomes.iter().skip(*told) {
                    let mark = if outcome.faults.is_empty() { "ok" } else { "WRONG" };
                    println!("{time}  {mark}: {}, {}", outcome.act.event, summary::told(outcome));
                }
                *told = view.outcomes.len();
                if event != view.event {
                    view.event.clone_into(event);
                    println!("{time}  == {event}");
                    *next = elapsed + SECOND;
                }
                if elapsed >= *next {
                    println!("{time}  {}", progress(view));
                    *next += SECOND;
                }
            }
        }
        // A closed pipe must not end the demo before its clean-up.
        let _ = io::stdout().flush();
    }

    /// Shows a command and what it printed, in place of a table; nothing, if there is nothing.
    pub(super) fn print_output(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        if let Self::Table { height } = self {
            print!("{}\x1b[J", top(*height));
            *height = 0;
        }
        println!("{}", indented(text));
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.is_table() {
            print!("\x1b[?7h\x1b[?25h");
            let _ = io::stdout().flush();
        }
    }
}

/// Moves the cursor to the first line of a table of that height.
fn top(height: usize) -> String {
    if height > 0 { format!("\x1b[{height}A") } else { String::new() }
}

/// A text as a part of a page, with the commands in sight.
pub(super) fn indented(text: &str) -> String {
    let is_terminal = io::stdout().is_terminal();
    let line = |line: &str| match line.starts_with("$ ") && is_terminal {
        true => format!("  {BOLD}{line}{PLAIN}\n"),
        false => format!("  {line}\n"),
    };
    text.lines().map(line).collect()
}

/// Dials of the last `window`, per second, by replica; and the failed ones.
fn rates(view: &View<'_>, window: Duration) -> (Vec<usize>, usize) {
    let from = view.now.saturating_sub(window);
    let (mut served, mut failed) = (vec![0; view.cast.members.len()], 0);
    // Dials are reported a little out of order: more of them are read than fit into the window.
    let recent = view.dials.iter().rev().take(4 * RATE as usize);
    for dial in recent.filter(|dial| dial.ended >= from) {
        match dial.outcome {
            Ok(who) => served[who] += 1,
            Err(_) => failed += 1,
        }
    }
    let per_second = |count: usize| count * 1_000 / window.as_millis() as usize;
    (served.into_iter().map(per_second).collect(), per_second(failed))
}

/// The line of one second.
fn progress(view: &View<'_>) -> String {
    let (served, failed) = rates(view, SECOND);
    let replicas = view.cast.members.iter().zip(served).zip(&view.states);
    let replicas: Vec<String> = replicas
        .map(|((member, rate), state)| match (state, rate) {
            (ReplicaState::Mute | ReplicaState::Dead, 0) => format!("{}   -", member.name),
            _ => format!("{} {rate:3}", member.name),
        })
        .collect();
    let replicas = replicas.join("  ");
    // The tier of now, not also the one of half a second ago.
    let tier = tally::serving(view.cast, &rates(view, WINDOW).0);
    format!("{tier:<13} {replicas}  failed {failed:3}")
}

fn table(view: &View<'_>) -> Vec<String> {
    let (served, failed) = rates(view, WINDOW);
    let total: usize = served.iter().sum::<usize>() + failed;
    let bar = |rate: usize| format!("{:<BAR$}", "█".repeat((BAR * rate).div_ceil(total.max(1))));
    let mut lines = vec![
        String::new(),
        format!(
            "  n1 in zone a dials {BOLD}{SERVICE}{PLAIN}, an address that no machine has \
             {DIM}{:>7.1} s{PLAIN}",
            (view.now - view.start).as_secs_f64()
        ),
        String::new(),
    ];
    for (who, member) in view.cast.members.iter().enumerate() {
        let is_first = who == 0 || view.cast.members[who - 1].tier != member.tier;
        let tier = if is_first { view.cast.tier(member).name } else { "" };
        let (colour, mark) = match view.states[who] {
            ReplicaState::Well => (GREEN, "●"),
            ReplicaState::Mute => (RED, "○"),
            ReplicaState::Dead => (RED, "✗"),
        };
        let (rate, bar) = (served[who], bar(served[who]));
        let rate = if rate > 0 { format!("{rate:4}/s") } else { String::new() };
        lines.push(format!(
            "  {tier:<13} {colour}{mark}{PLAIN} {}  {DIM}{}{PLAIN}  {CYAN}{bar}{PLAIN} {rate}",
            member.name, member.node
        ));
    }
    let bar = bar(failed);
    let rate = if failed > 0 { format!("{RED}{failed:4}/s{PLAIN}") } else { String::new() };
    lines.push(format!("  {:<20}  {RED}{bar}{PLAIN} {rate}", "failed connects"));
    lines.push(String::new());
    let hidden = view.outcomes.len().saturating_sub(ROWS - view.cast.members.len());
    for outcome in &view.outcomes[hidden..] {
        let (colour, mark) = if outcome.faults.is_empty() { (GREEN, "✓") } else { (RED, "✗") };
        let told = summary::told(outcome);
        let event = outcome.act.event;
        lines.push(format!("  {colour}{mark}{PLAIN} {event:<LONGEST_EVENT$}  {DIM}{told}{PLAIN}"));
    }
    lines.push(format!("  {BOLD}▶ {}{PLAIN}", view.event));
    lines
}

#[cfg(test)]
mod tests {
    use super::{
        super::{cluster::CAST, script::STORY},
        tally::judge,
        *,
    };

    const REFUSED: tally::Failure = tally::Failure { is_late: false, errno: 111 };

    #[test]
    fn a_view_is_shown_by_who_served_and_what_failed() {
        let mut dials = Vec::new();
        for ms in (0..1_000).step_by(5) {
            let outcome = if ms % 20 == 0 { Err(REFUSED) } else { Ok(3) };
            let (ended, connect) = (Duration::from_millis(ms), Duration::ZERO);
            dials.push(Dial { ended, connect, outcome });
        }
        let mut view = view(&dials, &[]);
        view.states[0] = ReplicaState::Dead;
        view.states[1] = ReplicaState::Mute;

        assert_eq!(rates(&view, WINDOW), (vec![0, 0, 0, 150, 0, 0], 50));
        assert_eq!(
            progress(&view),
            "zone b        a1   -  a2   -  b1   0  b2 150  w1   0  w2   0  failed  50"
        );
        let table = table(&view);
        assert!(table.iter().any(|line| line.contains("✗") && line.contains("a1")));
        assert!(table.iter().any(|line| line.contains("○") && line.contains("a2")));
        assert!(table.iter().any(|line| line.contains("b2") && line.contains("150/s")));
    }

    #[test]
    fn it_fits_a_small_terminal_however_many_acts_are_over() {
        let outcomes: Vec<Outcome> = STORY
            .iter()
            .map(|act| judge(&CAST, act, &(SECOND..SECOND), &[ReplicaState::Well; 6], &[]))
            .collect();

        let table = table(&view(&[], &outcomes));

        assert!(table.len() < 24, "{} lines and the cursor's", table.len());
        let last = STORY[STORY.len() - 1].event;
        assert!(table.iter().any(|line| line.contains(last)));
    }

    fn view<'a>(dials: &'a [Dial], outcomes: &'a [Outcome]) -> View<'a> {
        let (start, now, states) = (Duration::ZERO, SECOND, vec![ReplicaState::Well; 6]);
        View { cast: &CAST, start, now, event: "a1 dies", states, dials, outcomes }
    }
}
