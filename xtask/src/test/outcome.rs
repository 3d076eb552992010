//! Counts what a suite's output says: passed, failed with how it ended, and skipped with the reason.
//!
//! libtest knows no skip at run time: a test that cannot run here prints `SKIP <name>: <why>` and
//! passes. Ignored tests are skips as well.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(super) passed: u64,
    pub(super) failed: u64,
    /// What each failed test printed last, by `<suite>::<test>`; of a suite in which libtest has
    /// named none, by `<suite>`.
    pub(super) failures: BTreeMap<String, String>,
    /// Why a test was skipped, by `<suite>::<test>`.
    pub(super) skipped: BTreeMap<String, String>,
    pub(super) time: Duration,
}

/// So many lines of a failed test are kept.
const LAST_LINES: usize = 40;
/// So many of them are its panic's, where more than the others follow that: guards print logs.
const PANIC_LINES: usize = 10;

impl Outcome {
    /// A run that did not succeed has failed at least once, even if it never came to its tests.
    pub(super) fn new(suite: &str, output: &str, is_success: bool, time: Duration) -> Self {
        let full_name = |test: &str| match test.strip_prefix(suite) {
            Some(rest) if rest.starts_with("::") => test.to_owned(),
            _ => format!("{suite}::{test}"),
        };
        let mut outcome = Self { time, ..Self::default() };
        let mut ran = BTreeSet::new();
        let mut failed = BTreeSet::new();
        // What libtest has captured of each test, and whose lines come.
        let mut printed = BTreeMap::<String, Vec<&str>>::new();
        let mut printing = None;
        for line in output.lines() {
            if let Some(test) = captured(line) {
                printing = Some(full_name(test));
            } else if line == "failures:" || line.starts_with("test result: ") {
                printing = None;
            } else if let Some(test) = &printing {
                printed.entry(test.clone()).or_default().push(line);
            }
            if let Some(counts) = line.strip_prefix("test result: ") {
                outcome.passed += count(counts, "passed");
                outcome.failed += count(counts, "failed");
                continue;
            }
            if let Some(test) = line.strip_prefix("test ").and_then(|l| l.strip_suffix("FAILED")) {
                let test = test.split(" ... ").next().unwrap_or(test);
                failed.insert(full_name(test));
            }
            let mut text = line;
            // What a test writes past libtest's capture stands behind this.
            if let Some((test, rest)) =
                line.strip_prefix("test ").and_then(|l| l.split_once(" ... "))
            {
                if let Some(why) = rest.strip_prefix("ignored") {
                    let why = format!("ignored {}", why.trim_start_matches([',', ' ']));
                    outcome.skipped.insert(full_name(test), why.trim_end().to_owned());
                } else {
                    ran.insert(full_name(test));
                }
                text = rest;
            }
            if let Some((test, why)) = text.strip_prefix("SKIP ").and_then(|t| t.split_once(": ")) {
                outcome.skipped.insert(full_name(test), why.to_owned());
            }
        }
        // libtest has counted a test that skipped as passed. One part of a test may also skip by
        // a name of its own; then the test itself has still passed.
        let whole = outcome.skipped.keys().filter(|test| ran.contains(*test)).count();
        outcome.passed = outcome.passed.saturating_sub(whole as u64);
        if !is_success {
            outcome.failed = outcome.failed.max(1);
            if failed.is_empty() {
                failed.insert(suite.to_owned());
                printed.insert(suite.to_owned(), output.lines().collect());
            }
        }
        for test in failed {
            let lines = printed.get(&test).map_or(&[][..], Vec::as_slice);
            outcome.failures.insert(test, last_lines(lines));
        }
        outcome
    }
}

/// The test whose output begins after this line.
fn captured(line: &str) -> Option<&str> {
    line.strip_prefix("---- ")?.strip_suffix(" stdout ----")
}

/// The last of these lines without backtraces, and the panic, should it stand before them.
fn last_lines(lines: &[&str]) -> String {
    let mut is_backtrace = false;
    let lines = lines.iter().copied().filter(|line| {
        is_backtrace = *line == "stack backtrace:" || is_backtrace && line.starts_with(' ');
        !is_backtrace
    });
    let lines: Vec<_> = lines.collect();
    let panic = lines.iter().position(|line| line.contains(" panicked at "));
    match (panic, lines.len().checked_sub(LAST_LINES)) {
        (_, None) => lines.join("\n"),
        (Some(panic), Some(first)) if panic < first => {
            let panic = lines[panic..].iter().take(PANIC_LINES);
            let last = &lines[first + PANIC_LINES + 1..];
            panic.chain(&["…"]).chain(last).copied().collect::<Vec<_>>().join("\n")
        }
        (_, Some(first)) => lines[first..].join("\n"),
    }
}

/// The number before `what` in `ok. 3 passed; 0 failed; 1 ignored; …`.
fn count(counts: &str, what: &str) -> u64 {
    let words: Vec<_> = counts.split([' ', ';', '.']).collect();
    let number = words.windows(2).find(|pair| pair[1] == what).map(|pair| pair[0].parse());
    number.and_then(Result::ok).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
running 4 tests
test boots_5_10 ... ok
test boots_6_12 ... ok
test slow ... ignored, takes an hour
test breaks ... FAILED

successes:

---- boots_5_10 stdout ----
SKIP boots_5_10: linux-image-5.10 is not on the mirrors

failures:

---- breaks stdout ----
the agent is up
thread 'breaks' (7) panicked at tests/kernels.rs:3:5:
it is wrong
stack backtrace:
   0: main
             at ./main.rs:1:2
note: Some details are omitted

failures:
    breaks

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s
test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s
";

    #[test]
    fn a_test_that_skips_is_not_counted_as_passed() {
        let outcome = Outcome::new("kernels", OUTPUT, false, Duration::ZERO);
        assert_eq!((outcome.passed, outcome.failed), (4, 1));
        let why = "the agent is up
thread 'breaks' (7) panicked at tests/kernels.rs:3:5:
it is wrong
note: Some details are omitted
";
        assert_eq!(outcome.failures, [("kernels::breaks".to_owned(), why.to_owned())].into());
        let skipped = outcome.skipped.iter().map(|(test, why)| (test.as_str(), why.as_str()));
        assert_eq!(
            skipped.collect::<Vec<_>>(),
            [
                ("kernels::boots_5_10", "linux-image-5.10 is not on the mirrors"),
                ("kernels::slow", "ignored takes an hour"),
            ]
        );
    }

    #[test]
    fn a_skip_written_past_the_capture_counts_with_or_without_its_suite() {
        let output = "test one ... SKIP kernels::one: gone\nok\ntest two ... SKIP two: gone\nok\n\
                      test result: ok. 3 passed; 0 failed;";
        let outcome = Outcome::new("kernels", output, true, Duration::ZERO);
        assert_eq!(outcome.passed, 1);
        assert!(outcome.skipped.keys().eq(["kernels::one", "kernels::two"]));
    }

    #[test]
    fn a_part_that_skips_leaves_its_test_passed() {
        let output = "test all ... SKIP linux-5.10: gone\nok\ntest result: ok. 1 passed; 0 failed;";
        let outcome = Outcome::new("kernels", output, true, Duration::ZERO);
        assert_eq!((outcome.passed, outcome.skipped.len()), (1, 1));
    }

    #[test]
    fn a_suite_that_does_not_compile_has_failed() {
        let outcome = Outcome::new("unit", "error[E0433]: cannot find", false, Duration::ZERO);
        assert_eq!((outcome.passed, outcome.failed), (0, 1));
        assert_eq!(outcome.failures["unit"], "error[E0433]: cannot find");
    }

    #[test]
    fn the_last_lines_of_a_failed_test_include_its_panic_however_much_its_guards_print() {
        let panic = ["thread 'it' (7) panicked at it.rs:1:1:", "it is wrong"];
        let log: Vec<_> = (0..100).map(|number| format!("line {number}")).collect();
        let log = || log.iter().map(String::as_str);

        let before = last_lines(&log().chain(panic).collect::<Vec<_>>());
        let after = last_lines(&panic.into_iter().chain(log()).collect::<Vec<_>>());

        assert!(before.starts_with("line 62\n") && before.ends_with("\nit is wrong"), "{before}");
        assert!(after.starts_with(&panic.join("\n")) && after.ends_with("\nline 99"), "{after}");
        assert_eq!((before.lines().count(), after.lines().count()), (LAST_LINES, LAST_LINES));
    }
}
