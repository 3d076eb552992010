//! Where log lines go and how they look.

use std::io::IsTerminal as _;

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

/// How to log.
#[derive(Clone, Debug, Args)]
pub(super) struct LogArgs {
    /// What to log: a level, or directives such as `info,redirector_core=debug`
    #[arg(
        long,
        global = true,
        value_name = "FILTER",
        default_value = "info",
        env = "REDIRECTOR_LOG"
    )]
    log: String,
    /// Format of the log lines, which go to the standard error
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    log_format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

impl LogArgs {
    /// What was asked for; aya tells each relocation at debug, so it has to be asked for by name.
    fn filter(&self) -> EnvFilter {
        if self.log.contains("aya") {
            return EnvFilter::new(&self.log);
        }
        EnvFilter::new(format!("aya=info,aya_obj=info,{}", self.log))
    }

    /// Installs the subscriber of this process.
    pub(super) fn init(&self) {
        let lines = tracing_subscriber::fmt()
            .with_env_filter(self.filter())
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal());
        match self.log_format {
            Format::Text => lines.init(),
            Format::Json => lines.json().flatten_event(true).init(),
        }
    }
}
