//! `redirector status`: who receives connections, from the maps themselves.

use std::fmt::Write as _;

use anyhow::Result;
use serde_json::json;

use super::options::{Output, OutputArgs, PinArgs, RunArgs};
use crate::{
    control::Orders,
    datapath::{Datapath, Pinned, ServiceView, View},
};

/// Flags of `status`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pins: PinArgs,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    output: OutputArgs,
    /// Only services whose name contains this
    service: Option<String>,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let pins = args.pins.pins();
    let mut view = View::read(&Datapath::open(&pins)?)?;
    if let Some(part) = &args.service {
        view.services.retain(|service| service.name.contains(part));
    }
    let agent = pins.holder();
    let lost = Pinned::look(&pins).lost().map(|loss| loss.to_string());
    // From the file: they are in force without an agent too.
    let orders = Orders::new(&args.run.directory().orders()).read()?;
    match args.output.output {
        Output::Json => {
            let services = &view.services;
            println!(
                "{}",
                json!({ "agent": agent, "lost": lost, "orders": orders, "services": services })
            );
        }
        Output::Text => {
            match agent {
                Some(pid) => println!("agent: process {pid}"),
                None => println!("agent: none is running; the last state stays in force"),
            }
            if let Some(lost) = &lost {
                println!("not in force on this node: {lost}; `redirector load` loads again");
            }
            for order in &orders {
                println!("order: {order}");
            }
            for service in &view.services {
                print!("{}", describe(service));
            }
        }
    }
    Ok(())
}

fn describe(service: &ServiceView) -> String {
    let frontends: Vec<_> = service
        .frontends
        .iter()
        .map(|frontend| {
            let address = std::net::SocketAddr::new(frontend.address, frontend.port);
            format!("{address}/{}", frontend.protocol)
        })
        .collect();
    let mut text = format!("\n{}  {}\n", service.name, frontends.join(" "));
    if service.tiers.is_empty() {
        text.push_str("  no backends: connects are refused\n");
    }
    let is_down =
        service.tiers.iter().flat_map(|tier| &tier.backends).all(|backend| !backend.usable);
    if is_down && !service.tiers.is_empty() {
        let _ = writeln!(text, "  all down: {}", service.all_down);
    }
    for (number, tier) in service.tiers.iter().enumerate() {
        let usable = tier.backends.iter().filter(|backend| backend.usable).count();
        let _ = writeln!(
            text,
            "  tier {number}  {:>3} % of new connections, {usable} of {} usable",
            tier.load,
            tier.backends.len()
        );
        for backend in &tier.backends {
            let address = std::net::SocketAddr::new(backend.address, backend.port).to_string();
            let state = if backend.usable {
                "usable".to_owned()
            } else {
                format!("ejected by {}", backend.objections.join(", "))
            };
            let share = f64::from(backend.share) / 100.0;
            let _ = writeln!(text, "    {address:<24} {share:>6.2} %  {state}");
        }
    }
    text
}
