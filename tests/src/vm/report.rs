//! What a guest tells the host: one JSON object per line on its second serial port.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

/// One line. The guest writes them as it goes, so that a hang shows how far it came.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    Kernel {
        release: String,
    },
    /// What the verifier said while loading `program`.
    Instructions {
        program: String,
        processed: u64,
    },
    Check(Check),
    Finding(Finding),
    Step(Step),
    /// The last line; without it the guest died.
    End {
        seconds_since_boot: f64,
    },
}

/// One statement about the redirector on this kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    pub name: String,
    /// What was seen instead; `None` when the statement holds.
    pub failure: Option<String>,
}

/// What `redirector check` says of one thing, as it prints it in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub what: String,
    /// `ok`, `degraded` or `missing`.
    pub verdict: String,
    pub detail: String,
}

/// Something that the redirector does by itself when a backend fails, tried with real sockets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub name: String,
    /// [`Finding::what`] of what should say so where it is absent; `None`: no kernel lacks it.
    pub finding: Option<String>,
    pub outcome: Outcome,
    /// What was seen, in numbers.
    pub saw: String,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Works,
    /// This kernel does not do it, and nothing else went wrong.
    Absent,
    Failed,
}

/// Everything that one guest said.
#[derive(Debug)]
pub struct Report {
    pub release: String,
    /// Instructions that the verifier processed, by program.
    pub instructions: BTreeMap<String, u64>,
    pub checks: Vec<Check>,
    pub findings: Vec<Finding>,
    pub steps: Vec<Step>,
    /// How long it took from the kernel's start to the end of the checks.
    pub seconds: f64,
}

impl Report {
    /// Errors: a line that is none of ours, no kernel, or no end.
    pub fn parse(text: &str) -> Result<Self> {
        let mut release = None;
        let mut seconds = None;
        let mut instructions = BTreeMap::new();
        let mut checks = Vec::new();
        let mut findings = Vec::new();
        let mut steps = Vec::new();
        for text in text.lines().filter(|line| !line.trim().is_empty()) {
            ensure!(seconds.is_none(), "the guest went on after its end: {text:?}");
            let line = serde_json::from_str(text)
                .with_context(|| format!("the guest reported {text:?}"))?;
            match line {
                Line::Kernel { release: said } => release = Some(said),
                Line::Instructions { program, processed } => {
                    instructions.insert(program, processed);
                }
                Line::Check(check) => checks.push(check),
                Line::Finding(finding) => findings.push(finding),
                Line::Step(step) => steps.push(step),
                Line::End { seconds_since_boot } => seconds = Some(seconds_since_boot),
            }
        }
        Ok(Self {
            release: release.context("the guest did not name its kernel")?,
            instructions,
            seconds: seconds
                .with_context(|| format!("the guest died; what it had reported: {checks:?}"))?,
            checks,
            findings,
            steps,
        })
    }

    pub fn failures(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.failure.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_back_as_it_was_written() {
        let check = |name: &str, failure: Option<&str>| Check {
            name: name.into(),
            failure: failure.map(Into::into),
        };
        let text = [
            Line::Kernel { release: "6.1.0".into() },
            Line::Instructions { program: "connect4".into(), processed: 5000 },
            Line::Check(check("one", None)),
            Line::Check(check("two", Some("why"))),
            Line::End { seconds_since_boot: 4.5 },
        ]
        .map(|line| serde_json::to_string(&line).expect("a line"))
        .join("\r\n");

        let report = Report::parse(&text).expect("a report");

        assert_eq!(report.release, "6.1.0");
        assert_eq!(report.instructions["connect4"], 5000);
        assert_eq!(report.checks.len(), 2);
        assert_eq!(report.failures().collect::<Vec<_>>(), [&check("two", Some("why"))]);
        assert!((report.seconds - 4.5).abs() < f64::EPSILON);
    }

    #[test]
    fn a_guest_that_died_is_an_error_that_says_how_far_it_came() {
        let text = r#"{"kernel":{"release":"6.1.0"}}
                      {"check":{"name":"one","failure":null}}"#;

        let error = Report::parse(text).expect_err("no end").to_string();

        assert!(error.contains("the guest died") && error.contains("one"), "{error}");
    }

    #[test]
    fn a_foreign_line_is_an_error() {
        let error = Report::parse("[    1.0] Oops").expect_err("not ours").to_string();

        assert!(error.contains("Oops"), "{error}");
    }
}
