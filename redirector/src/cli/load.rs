//! `redirector load`: the privileged half of the agent, once.

use anyhow::{Context as _, Result};

use super::options::LoadArgs;
use crate::datapath::{self, verifier};

/// Flags of `load`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    load: LoadArgs,
    /// Print for each program how many instructions the verifier processed
    #[arg(long)]
    verifier_stats: bool,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let pins = args.load.pins.pins();
    pins.create()?;
    let lock = pins.try_lock()?.with_context(|| {
        format!(
            "{} is in use by process {}; an agent that may load does it itself, stop it to load \
             by hand",
            pins.root().display(),
            pins.holder().map_or("?".to_owned(), |pid| pid.to_string()),
        )
    })?;
    let options = args.load.options()?;
    datapath::load(&pins, &lock, &args.load.cgroup()?, &options)?;
    if args.verifier_stats {
        for (program, processed) in verifier::processed(&pins, &options)? {
            println!("{program} {processed}");
        }
    }
    println!("loaded; pinned below {}", pins.root().display());
    Ok(())
}
