//! Counts what a suite's output says: passed, failed and which, and skipped with the reason.
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
    /// `<suite>::<test>` of each failed test that libtest has named.
    pub(super) failures: BTreeSet<String>,
    /// Why a test was skipped, by `<suite>::<test>`.
    pub(super) skipped: BTreeMap<String, String>,
    pub(super) time: Duration,
}

impl Outcome {
    /// A run that did not succeed has failed at least once, even if it never came to its tests.
    pub(super) fn new(suite: &str, output: &str, is_success: bool, time: Duration) -> Self {
        let full_name = |test: &str| match test.strip_prefix(suite) {
            Some(rest) if rest.starts_with("::") => test.to_owned(),
            _ => format!("{suite}::{test}"),
        };
        let mut outcome = Self { time, ..Self::default() };
        let mut ran = BTreeSet::new();
        for line in output.lines() {
            if let Some(counts) = line.strip_prefix("test result: ") {
                outcome.passed += count(counts, "passed");
                outcome.failed += count(counts, "failed");
                continue;
            }
            if let Some(test) = line.strip_prefix("test ").and_then(|l| l.strip_suffix("FAILED")) {
                let test = test.split(" ... ").next().unwrap_or(test);
                outcome.failures.insert(full_name(test));
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
        }
        outcome
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

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s
test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s
";

    #[test]
    fn a_test_that_skips_is_not_counted_as_passed() {
        let outcome = Outcome::new("kernels", OUTPUT, false, Duration::ZERO);
        assert_eq!((outcome.passed, outcome.failed), (4, 1));
        assert!(outcome.failures.iter().eq(["kernels::breaks"]));
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
    }
}
