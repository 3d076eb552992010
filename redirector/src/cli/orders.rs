//! `redirector drain`, `undrain`, `force`, `failback`, `orders`: what an operator wants of a running agent.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "command-line output")]

use anyhow::Result;
use redirector_core::{
    input::{Drained, Verb},
    service::ServiceRef,
};

use super::options::{Output, OutputArgs, RunArgs};
use crate::control::CarriedOut;

/// Flags of `drain` and `undrain`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct DrainArgs {
    #[command(flatten)]
    run: RunArgs,
    /// `backend=ADDRESS:PORT[/udp]`, `node=NAME`, `zone=NAME` or `cluster=NAME`; in another cluster
    /// `node=CLUSTER/NAME` and `zone=CLUSTER/NAME`
    #[arg(required = true, value_name = "SUBJECT")]
    subjects: Vec<Drained>,
}

/// Flags of `force`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ForceArgs {
    #[command(flatten)]
    run: RunArgs,
    /// The service, as `status` names it; without `:port`, all ports of it
    service: String,
    /// The tier, as `explain` names it
    tier: String,
}

/// Flags of `failback`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct FailbackArgs {
    #[command(flatten)]
    run: RunArgs,
    /// The service, as `status` names it; without `:port`, all ports of it
    service: String,
}

/// Flags of `orders`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct OrdersArgs {
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn drain(args: &DrainArgs) -> Result<()> {
    send(&args.run, args.subjects.iter().cloned().map(Verb::Drain))
}

pub(super) fn undrain(args: &DrainArgs) -> Result<()> {
    send(&args.run, args.subjects.iter().cloned().map(Verb::Undrain))
}

pub(super) fn force(args: &ForceArgs) -> Result<()> {
    let (service, tier) = (ServiceRef(args.service.as_str().into()), args.tier.as_str().into());
    send(&args.run, [Verb::Force { service, tier }])
}

pub(super) fn failback(args: &FailbackArgs) -> Result<()> {
    send(&args.run, [Verb::Failback { service: ServiceRef(args.service.as_str().into()) }])
}

pub(super) fn orders(args: &OrdersArgs) -> Result<()> {
    let orders = args.run.client().orders()?;
    match args.output.output {
        Output::Json => println!("{}", serde_json::to_string(&orders)?),
        Output::Text if orders.is_empty() => println!("no orders are in force"),
        Output::Text => {
            orders.iter().for_each(|order| println!("{order}"));
            eprintln!("note: on this node alone");
        }
    }
    Ok(())
}

fn send(run: &RunArgs, orders: impl IntoIterator<Item = Verb>) -> Result<()> {
    let client = run.client();
    let orders: Vec<Verb> = orders.into_iter().collect();
    if orders.len() > 1 {
        // All of them, or none.
        client.check(&orders)?;
    }
    let mut last = None;
    for order in orders {
        let carried_out = client.order(&order)?;
        if carried_out.len() > 1 {
            println!("{order}: for all {} ports", carried_out.len());
        }
        for CarriedOut { order, effect } in carried_out {
            println!("{order}: {effect}");
        }
        last = Some(order);
    }
    // Beside what programs read: nothing carries an order to the other nodes.
    if let Some(order) = last {
        eprintln!(
            "note: on this node alone; in Kubernetes, on all nodes there are now: kubectl get pods -A -l \
             app.kubernetes.io/name=redirector --no-headers | while read -r namespace pod _; do kubectl \
             exec -n \"$namespace\" \"$pod\" </dev/null -- redirector {order}; done"
        );
    }
    Ok(())
}
