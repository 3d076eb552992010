//! `redirector dump`: the pinned maps, index by index, for operators who compare them with `bpftool`.

use anyhow::Result;
use serde_json::json;

use super::options::{Output, OutputArgs, PinArgs, RunArgs};
use crate::datapath::{Counters, Datapath, View};

/// Flags of `dump`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pins: PinArgs,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let pins = args.pins.pins();
    let datapath = Datapath::open(&pins)?;
    let view = View::read(&datapath)?.naming(&args.run.long_names());
    let counters = Counters::open(&pins)?.named()?;
    match args.output.output {
        Output::Json => {
            let counters: serde_json::Map<_, _> =
                counters.into_iter().map(|(name, count)| (name, json!(count))).collect();
            println!("{}", json!({ "services": view.services, "counters": counters }));
        }
        Output::Text => {
            for service in &view.services {
                for frontend in &service.frontends {
                    println!(
                        "frontend address={} port={} protocol={} index={} slot={} epoch={} service={}",
                        frontend.address,
                        frontend.port,
                        frontend.protocol,
                        frontend.index,
                        service.slot,
                        service.epoch,
                        service.id,
                    );
                }
                for (tier, contents) in service.tiers.iter().enumerate() {
                    for backend in &contents.backends {
                        println!(
                            "entry service={} slot={} tier={tier} backend={} node={} address={} \
                             port={} share={} objections={}",
                            service.id,
                            service.slot,
                            backend.index,
                            backend.node,
                            backend.address,
                            backend.port,
                            backend.share,
                            if backend.objections.is_empty() {
                                "none".to_owned()
                            } else {
                                backend.objections.join(",")
                            },
                        );
                    }
                }
            }
            for (name, count) in counters {
                println!("counter {name}={count}");
            }
        }
    }
    Ok(())
}
