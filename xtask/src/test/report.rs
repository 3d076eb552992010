//! Adds up what the suites have done, and prints it as the last thing.

use super::{outcome::Outcome, skips};

#[derive(Debug, Default)]
pub(crate) struct Report {
    suites: Vec<(String, Outcome)>,
}

impl Report {
    /// Keeps a suite's outcome. A skip that is not on the list of allowed ones is a failure.
    pub(super) fn add(&mut self, suite: &str, mut outcome: Outcome) {
        for (test, why) in &outcome.skipped {
            if !skips::is_allowed(test) {
                println!("FAILED {test}: it may not be skipped ({why})");
            }
        }
        let skipped = outcome.skipped.len();
        outcome.skipped.retain(|test, _| skips::is_allowed(test));
        outcome.failed += (skipped - outcome.skipped.len()) as u64;
        self.suites.push((suite.to_owned(), outcome));
    }

    pub(crate) fn is_green(&self) -> bool {
        self.suites.iter().all(|(_, outcome)| outcome.failed == 0)
    }

    /// Prints the reasons of the skips, a row per suite, what failed and how, and a line of the sums:
    /// where a log keeps its end alone, that tells why.
    pub(crate) fn print(&self) {
        println!();
        for (test, why) in self.suites.iter().flat_map(|(_, outcome)| &outcome.skipped) {
            println!("skipped {test}: {why}");
        }
        let names = self.suites.iter().map(|(name, _)| name.len());
        let width = names.max().unwrap_or(0).max("suite".len());
        println!("{:<width$}  passed  failed  skipped  seconds", "suite");
        for (name, Outcome { passed, failed, skipped, time, failures: _ }) in &self.suites {
            let (skipped, seconds) = (skipped.len(), time.as_secs_f64());
            println!("{name:<width$}  {passed:>6}  {failed:>6}  {skipped:>7}  {seconds:>7.1}");
        }
        print!("{}", self.failures());
        println!("{}", self.sums());
    }

    /// What each failed test printed last, and then their names.
    fn failures(&self) -> String {
        let failures = || self.suites.iter().flat_map(|(_, outcome)| &outcome.failures);
        let mut text = String::new();
        for (test, lines) in failures() {
            text += &format!("\n---- {test}, its last lines ----\n{}\n", lines.trim_end());
        }
        failures().for_each(|(test, _)| text += &format!("FAILED {test}\n"));
        text
    }

    fn sums(&self) -> String {
        let outcomes = || self.suites.iter().map(|(_, outcome)| outcome);
        let passed: u64 = outcomes().map(|outcome| outcome.passed).sum();
        let failed: u64 = outcomes().map(|outcome| outcome.failed).sum();
        let skipped: usize = outcomes().map(|outcome| outcome.skipped.len()).sum();
        format!("{passed} passed, {failed} failed, {skipped} skipped")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skipping(test: &str) -> Outcome {
        let skipped = [(test.to_owned(), "no such package".to_owned())].into();
        Outcome { passed: 2, skipped, ..Outcome::default() }
    }

    #[test]
    fn a_skip_that_is_not_on_the_list_fails() {
        let mut report = Report::default();
        report.add("kernels", skipping("kernels::linux_5_10"));
        assert!(report.is_green());
        report.add("sockets", skipping("sockets::udp"));
        assert!(!report.is_green());
        assert_eq!(report.sums(), "4 passed, 1 failed, 1 skipped");
    }

    #[test]
    fn what_failed_is_told_with_its_last_lines_and_named_at_the_end() {
        let mut report = Report::default();
        let failures = [("kube::breaks".to_owned(), "it is wrong\n".to_owned())].into();
        report.add("kube", Outcome { failed: 1, failures, ..Outcome::default() });
        let text = report.failures();
        assert!(text.contains("kube::breaks, its last lines ----\nit is wrong\n"), "{text}");
        assert!(text.ends_with("\nFAILED kube::breaks\n"), "{text}");
    }
}
