//! The fake API server as a process, for the demo and for trying things out with kubectl.

use std::{fs, net::SocketAddr, path::PathBuf, sync::mpsc};

use anyhow::{Context as _, Result};
use clap::Parser;
use redirector_tests::api::{Api, Options};

/// Serves until it is killed or its standard input ends.
#[derive(Parser)]
struct Arguments {
    /// Where to listen; port 0 is a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Plain HTTP.
    #[arg(long)]
    no_tls: bool,
    /// A copy of the kubeconfig goes here.
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// Objects to start with, YAML.
    #[arg(long)]
    load: Vec<PathBuf>,
    /// Keep serving when standard input ends.
    #[arg(long)]
    keep: bool,
}

fn main() -> Result<()> {
    let Arguments { listen, no_tls, kubeconfig, load, keep } = Arguments::parse();
    let api = Api::start(Options { listen, tls: !no_tls, ..Options::default() })?;
    for path in load {
        let yaml =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        api.put_yaml(&yaml).with_context(|| format!("cannot load {}", path.display()))?;
    }
    let path = match kubeconfig {
        Some(path) => {
            fs::copy(api.kubeconfig(), &path)
                .with_context(|| format!("cannot write {}", path.display()))?;
            path
        }
        None => api.kubeconfig(),
    };
    #[expect(clippy::print_stdout, reason = "CLI output")]
    {
        println!("{}", api.url());
        println!("kubectl --kubeconfig {}", path.display());
    }
    if !keep {
        std::io::copy(&mut std::io::stdin(), &mut std::io::sink())
            .context("cannot read standard input")?;
        return Ok(());
    }
    // A signal ends it.
    let (_never, end) = mpsc::channel::<()>();
    end.recv().context("it ends only by a signal")
}
