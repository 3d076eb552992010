//! `redirector cluster list`.

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use redirector_clusters::admin::list::{Facts, Heard, Row, rows};
use serde_json::{Value, json};

use super::options::{HereArgs, VERSION, table};
use crate::cli::options::{Output, OutputArgs};

/// Flags of `cluster list`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Exit code 1 if any cluster is not Live. HEARD follows from the phase, while an importer lives that keeps
it up to date; how long ago exactly is in the metric redirector_cluster_heard_seconds of the Deployment.")]
pub(super) struct Args {
    #[command(flatten)]
    here: HereArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: &Args) -> Result<ExitCode> {
    let here = args.here.login().side().await?;
    let facts = Facts::read(&here).await?;
    let rows = rows(&facts, k8s_openapi::jiff::Timestamp::now());
    match args.output.output {
        Output::Json => {
            let clusters: Vec<_> = rows.iter().map(as_json).collect();
            let lives = facts.importer_lives;
            println!(
                "{}",
                json!({"apiVersion": VERSION, "importerLives": lives, "clusters": clusters})
            );
        }
        Output::Text if rows.is_empty() => {
            println!("no other cluster; `redirector cluster join --help` says how to join one");
        }
        Output::Text => print_text(&facts, &rows),
    }
    let is_well = rows.iter().all(Row::is_well);
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print_text(facts: &Facts, rows: &[Row]) {
    let head = ["NAME", "REACH", "PATH", "PHASE", "HEARD", "SERVICES", "ENDPOINTS", "CONFLICTS"];
    let mut lines = vec![head.map(str::to_owned)];
    for row in rows {
        lines.push([
            row.name.clone(),
            row.reach.map_or_else(|| "-".to_owned(), |reach| format!("{reach:?}")),
            row.path.clone(),
            row.shown_phase(),
            shown(row.heard),
            row.services.to_string(),
            row.endpoints.to_string(),
            row.conflicts.to_string(),
        ]);
    }
    print!("{}", table(&lines));
    for Row { name, problem, .. } in rows {
        if let Some(problem) = problem {
            println!("{name}: not accepted: {problem}");
        }
    }
    let has_server = rows.iter().any(|row| row.heard != Heard::ByOthers);
    if has_server && !facts.importer_lives {
        println!(
            "no importer lives here (no Lease in redirector-clusters moves): phases are what the last one \
             said; is the Deployment redirector-clusters running?"
        );
    }
}

fn shown(heard: Heard) -> String {
    match heard {
        Heard::Within(time) => format!("< {}", whole(time)),
        Heard::Not(time) => format!("{} ago", whole(time)),
        Heard::Never => "never".to_owned(),
        Heard::Unknown => "UNKNOWN".to_owned(),
        Heard::ByOthers => "-".to_owned(),
    }
}

fn whole(time: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(time.as_secs()))
}

fn as_json(row: &Row) -> Value {
    let Row { name, reach, path, phase, heard, services, endpoints, conflicts, problem } = row;
    let heard = match heard {
        Heard::Within(time) => json!({"withinSeconds": time.as_secs()}),
        Heard::Not(time) => json!({"notForSeconds": time.as_secs()}),
        Heard::Never => json!("never"),
        Heard::Unknown => json!("unknown"),
        Heard::ByOthers => json!("byOthers"),
    };
    json!({
        "name": name, "reach": reach, "path": path, "phase": phase, "heard": heard,
        "services": services, "endpoints": endpoints, "conflicts": conflicts, "problem": problem,
        "isWell": row.is_well(),
    })
}
