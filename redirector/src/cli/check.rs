//! `redirector check`: what this kernel and these privileges can do.

use std::{path::PathBuf, process::ExitCode};

use super::options::{Output, OutputArgs};
use crate::datapath::{
    Pins,
    check::{Verdict, check},
};

/// Flags of `check`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Directory on a BPF file system below which everything is, or will be, pinned [default: the
    /// usual one, or any other BPF file system]
    #[arg(long, value_name = "DIR")]
    pin_path: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Fails if something that is needed is missing.
pub(super) fn run(args: &Args) -> ExitCode {
    let pins = args.pin_path.as_deref().map(Pins::new);
    let findings = check(pins.as_ref());
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
