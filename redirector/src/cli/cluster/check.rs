//! `redirector cluster check`.

use std::process::ExitCode;

use anyhow::Result;
use redirector_clusters::admin::check::{Finding, Verdict, check, read};
use serde_json::json;

use super::options::{HereArgs, ThereArgs, VERSION, table};
use crate::cli::options::{Output, OutputArgs};

/// Flags of `cluster check`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Exit code 1 if anything has failed. Connections are made from where this runs: in a pod of the cluster it
sees what the agents see. With the context of the other cluster, its policies are looked at as well.

A guard and its bypass are not asked about: this version has none.")]
pub(super) struct Args {
    /// Only about this cluster
    #[arg(value_name = "CLUSTER")]
    name: Option<String>,
    #[command(flatten)]
    here: HereArgs,
    #[command(flatten)]
    there: ThereArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: &Args) -> Result<ExitCode> {
    let here = args.here.login().side().await?;
    let operator = match args.there.login(&args.here) {
        Some(_) if args.name.is_none() => {
            anyhow::bail!(
                "--remote-context is of one cluster: name it, as in `redirector cluster check west`"
            )
        }
        Some(login) => Some(login.side().await?),
        None => None,
    };
    let given = args.here.cluster.as_deref();
    let facts = read(&here, given, args.name.as_deref(), operator.as_ref()).await?;
    let findings = check(&facts);
    match args.output.output {
        Output::Json => println!("{}", json!({"apiVersion": VERSION, "findings": findings})),
        Output::Text => print_text(&findings),
    }
    let has_failed = findings.iter().any(|finding| finding.verdict == Verdict::Failed);
    Ok(if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print_text(findings: &[Finding]) {
    let mut lines = vec![["CHECK", "CLUSTER", "VERDICT", "FOUND"].map(str::to_owned)];
    for Finding { check, cluster, verdict, found, fix: _ } in findings {
        let cluster = cluster.clone().unwrap_or_else(|| "-".to_owned());
        lines.push([check.name().to_owned(), cluster, verdict.name().to_owned(), found.clone()]);
    }
    let text = table(&lines);
    let mut lines = text.lines();
    lines.next().into_iter().for_each(|head| println!("{head}"));
    for (line, finding) in lines.zip(findings) {
        println!("{line}");
        if let Some(fix) = &finding.fix {
            println!("    fix: {fix}");
        }
    }
    let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    println!(
        "{} ok, {} failed, {} warnings, {} unknown",
        count(Verdict::Ok),
        count(Verdict::Failed),
        count(Verdict::Warning),
        count(Verdict::Unknown)
    );
}
