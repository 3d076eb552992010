//! `redirector cluster join`.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use redirector_clusters::admin::{
    Exporting, Importing, Login, Plan, Side, Wish,
    invitation::Invitation,
    join::{self, Join},
    plan, shown,
};
use redirector_policy::{EncryptionMode, Reach};
use serde_json::{Value, json};

use super::options::{Format, HereArgs, Steps, ThereArgs, VERSION};

/// Flags of `cluster join`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
With both contexts, east imports what west exports:

    redirector cluster join west --context east --remote-context west \\
        --cidr 10.2.0.0/16 --encryption off

With --both west imports what east exports too. Without west's context its operator runs
`redirector cluster invite east`, and here: redirector cluster join -f invite.yaml --encryption off

Run again it changes nothing, or completes what was interrupted.")]
pub(super) struct Args {
    /// Id of the other cluster [default: the invitation's]
    #[arg(value_name = "CLUSTER", required_unless_present = "file")]
    name: Option<String>,
    #[command(flatten)]
    here: HereArgs,
    #[command(flatten)]
    there: ThereArgs,
    /// An invitation that the other cluster's operator has made, in place of a context there
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["remote_context", "remote_kubeconfig", "both"])]
    file: Option<PathBuf>,
    /// Where its Services are reached
    #[arg(long, value_enum, ignore_case = true, default_value_t = ReachWord::Pod)]
    reach: ReachWord,
    /// Where its endpoints are; may be repeated. None counts outside
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    cidr: Vec<String>,
    /// Whether the way there must be encrypted; there is no default
    #[arg(long, value_enum, ignore_case = true)]
    encryption: Option<EncryptionWord>,
    /// A device that encrypts, such as wg0; may be repeated
    #[arg(long, value_name = "DEVICE")]
    interface: Vec<String>,
    /// IPsec policies of the nodes count as encryption
    #[arg(long)]
    ipsec: bool,
    /// Its API server as pods here reach it [default: that of the kubeconfig]
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// The other one imports from this one too
    #[arg(long, requires = "own_cidr")]
    both: bool,
    /// With --both: where endpoints of this cluster are; may be repeated
    #[arg(long, value_name = "CIDR", value_delimiter = ',', requires = "both")]
    own_cidr: Vec<String>,
    /// With --both: this cluster's API server as pods there reach it [default: that of the kubeconfig]
    #[arg(long, value_name = "URL", requires = "both")]
    own_server: Option<String>,
    /// Only say what would be written; the servers are asked nothing but reads
    #[arg(long)]
    dry_run: bool,
    /// Format of the output
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ReachWord {
    /// At its pods, which must be routable from here
    Pod,
    /// At the load balancers of its Services
    #[value(name = "LoadBalancer", alias = "loadbalancer")]
    LoadBalancer,
    /// At node ports of its nodes
    #[value(name = "NodePort", alias = "nodeport")]
    NodePort,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum EncryptionWord {
    /// Without proof that it is, its endpoints stay out
    Required,
    /// Its endpoints are used, and what is known is said
    Report,
    /// Its endpoints are used
    Off,
}

/// One direction, with who carries it out.
struct Direction {
    here: Side,
    asks: Side,
    /// Who makes the account; with an invitation its operator has.
    there: Option<Side>,
    plan: Plan,
    may_be_unreachable: bool,
}

pub(super) async fn run(args: &Args) -> Result<ExitCode> {
    if args.output == Format::Yaml && !args.dry_run {
        bail!("-o yaml prints what would be written: pass --dry-run too");
    }
    let here_login = args.here.login();
    let here = here_login.side().await?;
    let importing = Importing::read(&here, args.here.cluster.as_deref()).await?;
    let directions = match &args.file {
        Some(path) => vec![invited(args, path, here, &importing).await?],
        None => with_contexts(args, &here_login, here, &importing).await?,
    };
    if args.dry_run {
        dry_run(&directions, args.output);
        return Ok(ExitCode::SUCCESS);
    }
    let mut steps = Steps::new(args.output);
    for direction in &directions {
        let Direction { here, asks, there, plan, may_be_unreachable } = direction;
        steps.warn(&plan.warnings);
        if let Some(there) = there {
            join::make_account(there, &plan.importer, &mut |step| steps.step(step)).await?;
        }
        let join = Join { here, asks, may_be_unreachable: *may_be_unreachable };
        let warnings = join::carry_out(&join, plan, &mut |step| steps.step(step)).await?;
        steps.warn(&warnings);
    }
    let joined: Vec<_> = directions.iter().map(|direction| &direction.plan.exporter).collect();
    let sentence = "joined; `redirector cluster list` shows when it is Live";
    steps.end(sentence, &json!({"joined": joined}));
    Ok(ExitCode::SUCCESS)
}

/// East imports from west; with `--both` west from east as well.
async fn with_contexts(
    args: &Args,
    here_login: &Login,
    here: Side,
    importing: &Importing,
) -> Result<Vec<Direction>> {
    let Some(there_login) = args.there.login(&args.here) else {
        bail!(
            "--remote-context is missing: the context of the other cluster in the kubeconfig; without one \
             its operator can run `redirector cluster invite {}`, for `join -f` here",
            importing.id
        );
    };
    let there = there_login.side().await?;
    let name = args.name.clone().context("the id of the other cluster is missing")?;
    let address = there_login.address(args.server.as_deref())?;
    let exporting = Exporting::read(&there, address).await?;
    let forth = plan(importing, &exporting, &wish(args, name.clone(), args.cidr.clone(), "cidr"))?;
    let mut directions = vec![Direction {
        here: here.clone(),
        asks: there.clone(),
        there: Some(there.clone()),
        plan: forth,
        may_be_unreachable: args.server.is_some(),
    }];
    if args.both {
        let importing_there = Importing::read(&there, Some(&name)).await?;
        let address = here_login.address(args.own_server.as_deref())?;
        let exporting_here = Exporting::read(&here, address).await?;
        let wish = wish(args, importing.id.clone(), args.own_cidr.clone(), "own-cidr");
        directions.push(Direction {
            here: there,
            asks: here.clone(),
            there: Some(here),
            plan: plan(&importing_there, &exporting_here, &wish)?,
            may_be_unreachable: args.own_server.is_some(),
        });
    }
    Ok(directions)
}

/// The other cluster's operator has made the account, and handed out an hour of it.
async fn invited(
    args: &Args,
    path: &PathBuf,
    here: Side,
    importing: &Importing,
) -> Result<Direction> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let invitation: Invitation = serde_saphyr::from_str(&text).with_context(|| {
        format!("{} is no invitation of `redirector cluster invite`", path.display())
    })?;
    invitation.check(path, &importing.id, k8s_openapi::jiff::Timestamp::now())?;
    let name = args.name.clone().unwrap_or_else(|| invitation.from.clone());
    let asks = invitation.address().side(&invitation.from, &invitation.token).await?;
    let mut exporting = invitation.exporting(&asks, path).await?;
    if let Some(server) = &args.server {
        exporting.address.server.clone_from(server);
    }
    let cidrs = if args.cidr.is_empty() { &invitation.cidrs } else { &args.cidr };
    let plan = plan(importing, &exporting, &wish(args, name, cidrs.clone(), "cidr"))?;
    let may_be_unreachable = args.server.is_some();
    Ok(Direction { here, asks, there: None, plan, may_be_unreachable })
}

fn wish(args: &Args, name: String, cidrs: Vec<String>, cidr_flag: &'static str) -> Wish {
    Wish {
        name,
        reach: match args.reach {
            ReachWord::Pod => Reach::Pod,
            ReachWord::LoadBalancer => Reach::LoadBalancer,
            ReachWord::NodePort => Reach::NodePort,
        },
        cidrs,
        cidr_flag,
        encryption: args.encryption.map(|word| match word {
            EncryptionWord::Required => EncryptionMode::Required,
            EncryptionWord::Report => EncryptionMode::Report,
            EncryptionWord::Off => EncryptionMode::Off,
        }),
        interfaces: args.interface.clone(),
        ipsec: args.ipsec,
    }
}

fn dry_run(directions: &[Direction], format: Format) {
    // In the order in which they would be written.
    let mut objects: Vec<(String, Value)> = Vec::new();
    let mut warnings = Vec::new();
    for Direction { here, asks, there, plan, .. } in directions {
        let (of_there, of_here) = join::dry_run(plan);
        if there.is_some() {
            objects.extend(of_there.into_iter().map(|object| (asks.name().to_owned(), object)));
        }
        objects.extend(of_here.into_iter().map(|object| (here.name().to_owned(), object)));
        warnings.extend(plan.warnings.iter().cloned());
    }
    match format {
        Format::Text => {
            warnings.iter().for_each(|warning| println!("warning: {warning}"));
            objects.iter().for_each(|(side, object)| println!("{side:<16} {}", shown(object)));
        }
        Format::Yaml => {
            warnings.iter().for_each(|warning| println!("# warning: {warning}"));
            for (side, object) in &objects {
                println!("---\n# in {side}");
                if object["kind"] == "Secret" {
                    println!(
                        "# with data.token: a token of the account, which the server makes when it is joined"
                    );
                }
                let yaml = serde_saphyr::to_string(object);
                print!("{}", yaml.expect("what is JSON can be written as YAML"));
            }
        }
        Format::Json => {
            let objects: Vec<_> = objects
                .iter()
                .map(|(side, object)| json!({"side": side, "object": object}))
                .collect();
            println!("{}", json!({"apiVersion": VERSION, "dryRun": objects, "warnings": warnings}));
        }
    }
}
