//! The table of what each kernel was seen to do when backends fail, and whether `redirector check`
//! said so.

use std::fmt;

use super::{Finding, Outcome, Report, Step};

/// A column per kernel, in the order in which they were added; a row per step.
#[derive(Debug, Default)]
pub struct StepTable {
    columns: Vec<(String, Vec<Step>)>,
}

impl StepTable {
    pub fn add(&mut self, report: &Report) {
        let title = report.release.trim_end_matches("-cloud-amd64").to_owned();
        self.columns.push((title, report.steps.clone()));
    }

    /// Every step that any kernel has reported, in the order in which they were done.
    fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for step in self.columns.iter().flat_map(|(_, steps)| steps) {
            if !names.contains(&step.name.as_str()) {
                names.push(&step.name);
            }
        }
        names
    }
}

impl fmt::Display for StepTable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.names();
        let title = "when backends fail";
        let width = names.iter().map(|name| name.len()).max().unwrap_or(0).max(title.len());
        write!(out, "{title:<width$}")?;
        for (kernel, _) in &self.columns {
            write!(out, "  {kernel:>9}")?;
        }
        writeln!(out)?;
        for name in &names {
            write!(out, "{name:<width$}")?;
            for (kernel, steps) in &self.columns {
                let step = steps.iter().find(|step| step.name == *name);
                let cell = step.map_or("-", |step| match step.outcome {
                    Outcome::Works => "works",
                    Outcome::Absent => "absent",
                    Outcome::Failed => "FAILED",
                });
                write!(out, "  {cell:>0$}", kernel.len().max(9))?;
            }
            writeln!(out)?;
        }
        for (kernel, steps) in &self.columns {
            for Step { name, saw, .. } in steps {
                writeln!(out, "{kernel}: {name}: {saw}")?;
            }
        }
        Ok(())
    }
}

/// Each step that `redirector check` promised and that was not seen to work, or the reverse.
#[must_use]
pub fn contradictions(findings: &[Finding], steps: &[Step]) -> Vec<String> {
    let contradiction = |step: &Step| {
        let works = step.outcome == Outcome::Works;
        let what = step.finding.as_deref();
        let Some(what) = what else {
            return (!works).then(|| format!("{} should work everywhere: {}", step.name, step.saw));
        };
        let Some(finding) = findings.iter().find(|finding| finding.what == what) else {
            return Some(format!("`redirector check` says nothing about {what}"));
        };
        let Finding { verdict, detail, .. } = finding;
        let seen = format!("{}: {:?}, {}", step.name, step.outcome, step.saw);
        ((verdict == "ok") != works)
            .then(|| format!("`redirector check` says {what} {verdict} ({detail}), but {seen}"))
    };
    steps.iter().filter_map(contradiction).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(finding: Option<&str>, outcome: Outcome) -> Step {
        let finding = finding.map(str::to_owned);
        Step { name: "bounds".into(), finding, outcome, saw: "1.02 s".into() }
    }

    fn finding(verdict: &str) -> [Finding; 1] {
        [Finding { what: "bound".into(), verdict: verdict.into(), detail: "why".into() }]
    }

    #[test]
    fn what_was_promised_must_work_and_what_works_must_be_promised() {
        use Outcome::{Absent, Failed, Works};
        let said = |verdict, outcome| {
            contradictions(&finding(verdict), &[step(Some("bound"), outcome)]).len()
        };
        assert_eq!([said("ok", Works), said("degraded", Absent)], [0, 0]);
        assert_eq!([said("ok", Absent), said("ok", Failed), said("degraded", Works)], [1; 3]);
        assert_eq!(contradictions(&[], &[step(Some("bound"), Works)]).len(), 1, "nothing said");
        assert_eq!(contradictions(&[], &[step(None, Works)]).len(), 0);
        assert_eq!(contradictions(&[], &[step(None, Absent)]).len(), 1);
    }

    #[test]
    fn steps_are_rows_and_kernels_are_columns() {
        let mut table = StepTable::default();
        for (release, steps) in [
            ("5.10.0-46-cloud-amd64", vec![]),
            ("7.2.13+deb14-cloud-amd64", vec![step(None, Outcome::Absent)]),
        ] {
            table.add(&Report {
                release: release.into(),
                instructions: [].into(),
                checks: Vec::new(),
                findings: Vec::new(),
                steps,
                seconds: 1.0,
            });
        }
        assert_eq!(
            table.to_string(),
            "when backends fail  5.10.0-46  7.2.13+deb14\n\
             bounds                      -        absent\n\
             7.2.13+deb14: bounds: 1.02 s\n"
        );
    }
}
