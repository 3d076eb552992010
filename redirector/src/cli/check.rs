//! `redirector check`: what this kernel and these privileges can do.

use std::process::ExitCode;

use super::options::{Output, OutputArgs};
use crate::datapath::check::{Verdict, check};

/// Flags of `check`.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    output: OutputArgs,
}

/// Fails if something that is needed is missing.
pub(super) fn run(args: &Args) -> ExitCode {
    let findings = check();
    match args.output.output {
        Output::Json => println!("{}", serde_json::json!(findings)),
        Output::Text => {
            for finding in &findings {
                let verdict = match finding.verdict {
                    Verdict::Ok => "ok",
                    Verdict::Degraded => "degraded",
                    Verdict::Missing => "missing",
                };
                println!("{:<16} {verdict:<9} {}", finding.what, finding.detail);
            }
        }
    }
    let is_missing = findings.iter().any(|finding| finding.verdict == Verdict::Missing);
    if is_missing { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
