//! Flags that the commands about clusters share, and how they print what they do.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use redirector_clusters::admin::{Login, join::Step};
use serde_json::{Value, json};

/// `apiVersion` of all JSON that is printed.
pub(super) const VERSION: &str = "redirector.dev/cli/v1";

/// Which cluster this is about.
#[derive(Clone, Debug, Args)]
pub(super) struct HereArgs {
    /// Kubeconfig file [default: as kubectl; in a pod its service account]
    #[arg(long, value_name = "FILE")]
    pub(super) kubeconfig: Option<PathBuf>,
    /// Context of this cluster
    #[arg(long, value_name = "NAME")]
    pub(super) context: Option<String>,
    /// Id of this cluster, where it has no ClusterProperty and no exporter yet
    #[arg(long, value_name = "ID")]
    pub(super) cluster: Option<String>,
}

impl HereArgs {
    pub(super) fn login(&self) -> Login {
        Login { kubeconfig: self.kubeconfig.clone(), context: self.context.clone() }
    }
}

/// How to log in to the other cluster.
#[derive(Clone, Debug, Args)]
pub(super) struct ThereArgs {
    /// Kubeconfig file of the other cluster [default: that of this one]
    #[arg(long, value_name = "FILE")]
    pub(super) remote_kubeconfig: Option<PathBuf>,
    /// Context of the other cluster
    #[arg(long, value_name = "NAME")]
    pub(super) remote_context: Option<String>,
}

impl ThereArgs {
    /// `None` without any of its flags.
    pub(super) fn login(&self, here: &HereArgs) -> Option<Login> {
        if self.remote_kubeconfig.is_none() && self.remote_context.is_none() {
            return None;
        }
        let kubeconfig = self.remote_kubeconfig.clone().or_else(|| here.kubeconfig.clone());
        Some(Login { kubeconfig, context: self.remote_context.clone() })
    }
}

/// How to print objects and what was done to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Text,
    /// For programs
    Json,
    /// Objects for kubectl, with `--dry-run`
    Yaml,
}

/// Prints each step when it is taken, or keeps it for the end.
#[derive(Debug)]
pub(super) struct Steps {
    format: Format,
    taken: Vec<Value>,
    warnings: Vec<String>,
}

impl Steps {
    pub(super) fn new(format: Format) -> Self {
        Self { format, taken: Vec::new(), warnings: Vec::new() }
    }

    pub(super) fn step(&mut self, step: Step) {
        let Step { side, what, outcome } = step;
        if self.format == Format::Text {
            println!("{side:<16} {:<10} {what}", outcome.name());
        }
        self.taken.push(json!({"side": side, "object": what, "outcome": outcome.name()}));
    }

    pub(super) fn warn(&mut self, warnings: &[String]) {
        for warning in warnings {
            if self.format == Format::Text {
                println!("warning: {warning}");
            }
            self.warnings.push(warning.clone());
        }
    }

    /// The end: a sentence for people; for programs everything, with further fields.
    pub(super) fn end(self, sentence: &str, further: &Value) {
        let Self { format, taken, warnings } = self;
        if format == Format::Text {
            println!("{sentence}");
            return;
        }
        let mut all = json!({"apiVersion": VERSION, "steps": taken, "warnings": warnings});
        for (name, value) in further.as_object().into_iter().flatten() {
            all[name] = value.clone();
        }
        println!("{all}");
    }
}

/// Lines in columns that are as wide as their widest cell.
pub(super) fn table<const N: usize>(lines: &[[String; N]]) -> String {
    let width = |at: usize| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..N).map(width).collect();
    let line = |line: &[String; N]| {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    lines.iter().map(line).collect()
}
