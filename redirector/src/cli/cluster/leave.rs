//! `redirector cluster leave`.

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use redirector_clusters::{
    admin::{Error, Identity, Refusal, Side, leave},
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
    /// The other one leaves this one too
    #[arg(long)]
    both: bool,
    /// The account here by which the other one reads goes too: it hears nothing of this cluster any more
    #[arg(long)]
    revoke: bool,
    /// Without a drain, and also if Services have their only ready endpoints there
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: &Args) -> Result<ExitCode> {
    let here = args.here.login().side().await?;
    let login = args.there.login(&args.here);
    let own = match Identity::read(&here).await?.id(here.name(), args.here.cluster.as_deref()) {
        Ok(own) => Some(own),
        Err(Refusal::NoOwnId) if login.is_none() => None,
        Err(refusal) => return Err(refusal.into()),
    };
    let format = if args.output.output == Output::Json { Format::Json } else { Format::Text };
    let mut steps = Steps::new(format);
    let there = match login {
        Some(login) => reached(&here, login.side().await?, &args.name, &mut steps).await?,
        None => None,
    };
    if let Err(why) = leave(args, &here, &args.name, &mut steps).await {
        // An account may be all that there is, or that an interrupted command has left.
        let may_be_all = there.is_some() || args.revoke;
        if !(matches!(why, Error::Refused(Refusal::NotJoined { .. })) && may_be_all) {
            return Err(why.into());
        }
    }
    let commands = match &own {
        Some(own) => forget(there.as_ref(), own, &mut steps).await,
        None => {
            steps.warn(&[format!(
                "the account in {} is importer-<id of this cluster> in {OUTBOX}; delete it there",
                args.name
            )]);
            Vec::new()
        }
    };
    if args.revoke || args.both {
        leave::forget_account(&here, &args.name, &mut |step| steps.step(step)).await?;
    }
    if let (true, Some(own)) = (args.both, &own) {
        match &there {
            Some(there) => match leave(args, there, own, &mut steps).await {
                Ok(()) | Err(Error::Refused(Refusal::NotJoined { .. })) => {}
                Err(why) => return Err(why.into()),
            },
            None => {
                steps.warn(&[format!("run `redirector cluster leave {own}` on {} too", args.name)]);
            }
        }
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

/// The other cluster, if it can be asked; one that does not answer is no reason to stay.
async fn reached(here: &Side, there: Side, name: &str, steps: &mut Steps) -> Result<Option<Side>> {
    match leave::must_be(here, &there, name).await {
        Ok(()) => Ok(Some(there)),
        Err(why @ Error::Request { .. }) => {
            steps.warn(&[why.to_string()]);
            Ok(None)
        }
        Err(why) => Err(why.into()),
    }
}

async fn leave(args: &Args, side: &Side, name: &str, steps: &mut Steps) -> Result<(), Error> {
    let name = name.to_owned();
    let leave = leave::Leave { name, drain: args.drain, is_forced: args.force };
    leave::leave(side, &leave, &mut |step| steps.step(step)).await
}

/// The account there goes; what is left to do there is returned as commands.
async fn forget(there: Option<&Side>, own: &str, steps: &mut Steps) -> Vec<String> {
    let Some(there) = there else { return leave::forget_commands(own) };
    match leave::forget_account(there, own, &mut |step| steps.step(step)).await {
        Ok(()) => Vec::new(),
        Err(why) => {
            steps.warn(&[why.to_string()]);
            leave::forget_commands(own)
        }
    }
}
