//! `redirector cluster invite`.

use std::{
    fs::OpenOptions, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use redirector_clusters::admin::{
    Identity, Refusal,
    invitation::{Invitation, LIFE},
    join,
};
use redirector_kube::api::is_cluster_id;
use serde_json::json;

use super::options::{Format, HereArgs, Steps};

/// Flags of `cluster invite`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
On west, for east, whose operator has no access to west:

    redirector cluster invite east --context west --cidr 10.2.0.0/16 --file invite.yaml

The file holds a token that is good for an hour: hand it over as you would a password. On east:

    redirector cluster join -f invite.yaml --context east --encryption off")]
pub(super) struct Args {
    /// Id of the cluster that is invited to import from this one
    #[arg(value_name = "CLUSTER")]
    name: String,
    #[command(flatten)]
    here: HereArgs,
    /// Where endpoints of this cluster are, for the other operator's `--cidr`; may be repeated
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    cidr: Vec<String>,
    /// This cluster's API server as pods there reach it [default: that of the kubeconfig]
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Where to write the invitation [default: stdout]
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
}

pub(super) async fn run(args: &Args) -> Result<ExitCode> {
    if !is_cluster_id(&args.name) {
        return Err(Refusal::Name(args.name.clone()).into());
    }
    let login = args.here.login();
    let here = login.side().await?;
    let identity = Identity::read(&here).await?;
    let own = identity.id(here.name(), args.here.cluster.as_deref())?;
    if own == args.name {
        return Err(Refusal::OwnName(own).into());
    }
    let address = login.address(args.server.as_deref())?;
    // On stdout there is nothing but the invitation.
    let format = if args.file.is_some() { Format::Text } else { Format::Yaml };
    let mut steps = Steps::new(format);
    join::make_account(&here, &args.name, &mut |step| steps.step(step)).await?;
    let granted = join::request_token(&here, &args.name, LIFE).await?;
    let cidrs = args.cidr.clone();
    let invitation = Invitation::new((&own, &args.name), &identity.uid, address, cidrs, granted);
    let yaml = serde_saphyr::to_string(&invitation).context("cannot write the invitation")?;
    let Some(path) = &args.file else {
        print!("{yaml}");
        return Ok(ExitCode::SUCCESS);
    };
    let mut file = OpenOptions::new();
    let file = file.write(true).create(true).truncate(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| file.write_all(yaml.as_bytes()));
    written.with_context(|| format!("cannot write {}", path.display()))?;
    let sentence = format!(
        "{} invites {} into {own} for an hour; there: redirector cluster join -f {0}",
        path.display(),
        args.name
    );
    steps.end(&sentence, &json!({}));
    Ok(ExitCode::SUCCESS)
}
