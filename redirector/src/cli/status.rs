//! `redirector status`: who receives connections, from the maps themselves.

use std::{collections::BTreeSet, fmt::Write as _, time::Duration};

use anyhow::{Result, bail};
use redirector_common::AGENT_SILENT;
use redirector_core::explain::NotInstalled;
use serde_json::json;

use super::options::{Output, OutputArgs, PinArgs, RunArgs};
use crate::{
    control::{Kept, Orders, there_are},
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
    let datapath = Datapath::open(&pins)?;
    let mut view = View::read(&datapath)?.naming(&args.run.long_names());
    let agent = pins.holder();
    let silence = datapath.silence()?;
    // Only the agent knows what there is beside the maps.
    let mut not_installed = match agent {
        Some(_) => args.run.client().not_installed(),
        None => Ok(Vec::new()),
    };
    if let Some(part) = &args.service {
        keep(part, &mut view, not_installed.as_mut().map_or(&mut Vec::new(), |them| them))?;
    }
    let unseen = datapath.unseen()?;
    let lost = Pinned::look(&pins).lost().map(|loss| loss.to_string());
    // From the file: they are in force without an agent too.
    let (kept, unread) = match Orders::new(&args.run.directory().orders()).read() {
        Ok(kept) => (kept, None),
        Err(why) => (Kept::default(), Some(format!("{why:#}"))),
    };
    match args.output.output {
        Output::Json => {
            let services = &view.services;
            let not_installed = not_installed.ok();
            println!(
                "{}",
                json!({
                    "agent": agent,
                    "heartbeat_seconds": silence.map(|silence| silence.as_secs_f64()),
                    "lost": lost,
                    "unseen": unseen,
                    "orders": kept.entries(),
                    "orders_error": unread,
                    "notInstalled": not_installed,
                    "services": services,
                })
            );
        }
        Output::Text => {
            println!("agent: {}", describe_agent(agent, silence));
            if let Some(lost) = &lost {
                println!("not in force on this node: {lost}; `redirector load` loads again");
            }
            if unseen > 0 {
                println!(
                    "{unseen} connects have ended unseen since the maps were made: another sock_ops \
                     program takes the callbacks of sockets away; `redirector check` names those there are"
                );
            }
            if let Some(why) = unread {
                println!("orders: {why}");
            }
            for order in &kept.orders {
                println!("order: {order} (on this node alone)");
            }
            for order in &kept.foreign {
                println!("order of another version, kept and not in force: {order}");
            }
            match not_installed {
                Ok(services) => services.iter().for_each(|of| println!("{}: {of}", of.service)),
                Err(error) => println!("what is not installed is not known: {error:#}"),
            }
            for service in &view.services {
                print!("{}", describe(service));
            }
        }
    }
    Ok(())
}

/// Leaves out services whose name does not contain `part`. That none does is an error.
fn keep(part: &str, view: &mut View, not_installed: &mut Vec<NotInstalled>) -> Result<()> {
    let names: BTreeSet<String> = view
        .services
        .iter()
        .map(|service| &service.name)
        .chain(not_installed.iter().map(|of| &of.service))
        .cloned()
        .collect();
    if !names.iter().any(|name| name.contains(part)) {
        bail!("no service here has {part} in its name{}", there_are(part, names));
    }
    view.services.retain(|service| service.name.contains(part));
    not_installed.retain(|of| of.service.contains(part));
    Ok(())
}

/// That a process holds the pins does not mean that it does anything.
fn describe_agent(holder: Option<u32>, silence: Option<Duration>) -> String {
    let is_silent = silence.is_none_or(|silence| silence >= Duration::from_nanos(AGENT_SILENT));
    match (holder, silence) {
        (None, Some(silence)) => {
            format!("none is running, for {} s; the last state stays in force", silence.as_secs())
        }
        (None, None) => "none is running, nor has one; the last state stays in force".to_owned(),
        (Some(pid), _) if !is_silent => format!("process {pid}"),
        (Some(pid), None) => format!("process {pid} has not written a heartbeat yet"),
        (Some(pid), Some(silence)) => format!(
            "process {pid} has not written its heartbeat for {} s: it is stopped, hangs, or has \
             just been started; the last state stays in force",
            silence.as_secs()
        ),
    }
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
        let connections: u32 = tier.backends.iter().map(|backend| backend.connections).sum();
        let _ = writeln!(
            text,
            "  tier {number}  {:>3.0} % of new connections, {usable} of {} usable",
            f64::from(connections) / 100.0,
            tier.backends.len()
        );
        for backend in &tier.backends {
            let address = std::net::SocketAddr::new(backend.address, backend.port).to_string();
            let state = if backend.usable {
                "usable".to_owned()
            } else {
                format!("ejected by {}", backend.objections.join(", "))
            };
            let share = f64::from(backend.connections) / 100.0;
            let _ = writeln!(text, "    {address:<24} {share:>6.2} %  {state}");
        }
    }
    text
}
