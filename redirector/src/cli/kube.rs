//! Flags of the Kubernetes source.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use ipnet::IpNet;
use redirector_core::plan::Capacities;
use redirector_kube::{
    client,
    index::{self, Quotas, Settings},
    report::{Timing, owner::Origin},
    watch::Limits,
};

use crate::{control::RunDirectory, sources::kube::Options};

/// Where Services come from, and which of them are ours.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Kubernetes")]
pub(super) struct KubeArgs {
    /// Take Services, endpoints and policies from the API server; in a pod without further flags
    #[arg(long)]
    kube: bool,
    /// Kubeconfig file [default: a pod's service account]
    #[arg(long, value_name = "FILE", requires = "kube")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(long, value_name = "NAME", requires = "kube")]
    context: Option<String>,
    /// Dial the API server at this address; the name in its certificate stays
    #[arg(long, value_name = "URL", requires = "kube")]
    api_server: Option<String>,
    /// Name of this node
    #[arg(long, value_name = "NAME", env = "NODE_NAME", required_if_eq("kube", "true"))]
    node: Option<String>,
    /// The agent's own namespace: for the Lease of who writes status and Events; without, nothing
    /// is written
    #[arg(long, value_name = "NAME", env = "POD_NAMESPACE")]
    namespace: Option<String>,
    /// The agent's own pod: once its DaemonSet is gone, a SIGTERM removes every trace
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    pod: Option<String>,
    /// What policies call this cluster
    #[arg(long, value_name = "NAME", requires = "kube")]
    cluster: Option<String>,
    /// Which Services are redirected
    #[arg(long, value_enum, default_value_t = Scope::Labelled)]
    scope: Scope,
    /// Redirect `spec.externalIPs` too: any user who may write a Service may claim any address with them
    #[arg(long, requires = "kube")]
    external_ips: bool,
    /// Where endpoints may be that no controller of Kubernetes has listed; may be repeated
    #[arg(long, value_name = "CIDR", requires = "kube")]
    trusted_cidr: Vec<IpNet>,
    /// Divides every timeout and interval towards the API server: for tests
    #[arg(long, value_name = "N", default_value_t = 1, hide = true)]
    divide_timeouts: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Scope {
    /// Those with the label `redirector.dev/failover: "true"`, and those with a policy
    Labelled,
    /// All that kube-proxy serves
    All,
}

impl KubeArgs {
    /// `None` without `--kube`. Other addresses of the API server are remembered in the run directory.
    pub(super) fn options(
        &self,
        capacities: &Capacities,
        run: &RunDirectory,
    ) -> Result<Option<Options>> {
        if !self.kube {
            return Ok(None);
        }
        let by = self.divide_timeouts;
        let client = client::Options {
            kubeconfig: self.kubeconfig.clone(),
            context: self.context.clone(),
            api_server: self.api_server.clone(),
            alternatives: Some(run.api_servers()),
            timeouts: client::Timeouts::default().divided_by(by),
            ..client::Options::default()
        };
        let node = self.node.as_deref().context("--node is missing")?;
        let settings = Settings {
            cluster: self.cluster.as_deref().map(Arc::from),
            scope: match self.scope {
                Scope::Labelled => index::Scope::Labelled,
                Scope::All => index::Scope::All,
            },
            external_ips: self.external_ips,
            trusted: self.trusted_cidr.clone(),
            quotas: quotas(capacities),
            ..Settings::new(node)
        };
        Ok(Some(Options {
            client,
            settings,
            limits: Limits::default().divided_by(by),
            timing: Timing::default().divided(by),
            namespace: self.namespace.as_deref().map(Arc::from),
            origin: self.pod.as_deref().map(|pod| Origin::Pod(pod.into())),
        }))
    }
}

/// Quotas of the capacities; of the slots half: a table that changes is written beside the old one.
fn quotas(capacities: &Capacities) -> Quotas {
    let Capacities { frontends, services, backends, nodes: _, slots } = *capacities;
    Quotas {
        frontends: frontends.into(),
        services: services.into(),
        backends: backends.into(),
        slots: u64::from(slots) / 2,
    }
}
