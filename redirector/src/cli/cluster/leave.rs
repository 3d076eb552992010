//! `redirector cluster leave`.

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use redirector_clusters::{
    admin::{Error, Identity, Refusal, leave},
    api::{NAMESPACE, OUTBOX},
};
use serde_json::json;

use super::options::{Format, HereArgs, Steps, ThereArgs};
use crate::cli::options::{Output, OutputArgs};

/// Flags of `cluster leave`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
First nothing new is dialled there, then everything of it goes here, then its credentials, and with
--remote-context the account that reads there. Neither the other cluster nor the importer has to live.
To rename a cluster, leave it and join it again.")]
pub(super) struct Args {
    /// Id of the other cluster
    #[arg(value_name = "CLUSTER")]
    name: String,
    #[command(flatten)]
    here: HereArgs,
    #[command(flatten)]
    there: ThereArgs,
    /// How long agents may take until they dial nothing there any more
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = humantime::parse_duration)]
    drain: Duration,
    /// Without a drain, and also if Services have their only ready endpoints there
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: &Args) -> Result<ExitCode> {
    let here = args.here.login().side().await?;
    let own = match Identity::read(&here).await?.id(here.name(), args.here.cluster.as_deref()) {
        Ok(own) => Some(own),
        Err(Refusal::NoOwnId) if args.there.login(&args.here).is_none() => None,
        Err(refusal) => return Err(refusal.into()),
    };
    let format = if args.output.output == Output::Json { Format::Json } else { Format::Text };
    let mut steps = Steps::new(format);
    let leave = leave::Leave { name: args.name.clone(), drain: args.drain, is_forced: args.force };
    let left = leave::leave(&here, &leave, &mut |step| steps.step(step)).await;
    let there = args.there.login(&args.here);
    match left {
        Ok(()) => {}
        // The account there may be all that an interrupted command has left.
        Err(Error::Refused(Refusal::NotJoined { .. })) if there.is_some() => {}
        Err(why) => return Err(why.into()),
    }
    let mut commands = Vec::new();
    if let Some(own) = &own {
        let forgotten = match &there {
            Some(login) => forget(login, own, &mut steps).await,
            None => Err(None),
        };
        if let Err(why) = forgotten {
            commands = leave::forget_commands(own);
            if let Some(why) = why {
                steps.warn(&[why.to_string()]);
            }
        }
    } else {
        steps.warn(&[format!(
            "the account in {} is importer-<id of this cluster> in {OUTBOX}; delete it there",
            args.name
        )]);
    }
    let kept = [
        format!("Namespace {NAMESPACE} of {}", here.name()),
        format!("Namespace {OUTBOX} of {}", args.name),
    ];
    if format == Format::Text {
        println!("kept: {} (the Deployment's)", kept.join(", "));
        if !commands.is_empty() {
            println!("run in {}:", args.name);
            commands.iter().for_each(|command| println!("  {command}"));
        }
    }
    let further = json!({"left": args.name, "kept": kept, "commands": commands});
    steps.end(&format!("left {}", args.name), &further);
    Ok(ExitCode::SUCCESS)
}

/// The account there goes; what is in the way is no reason to fail.
async fn forget(
    login: &redirector_clusters::admin::Login,
    own: &str,
    steps: &mut Steps,
) -> Result<(), Option<Error>> {
    let there = login.side().await.map_err(Some)?;
    leave::forget_account(&there, own, &mut |step| steps.step(step)).await.map_err(Some)
}
