//! `redirector crd`: the definitions of Redirector's kinds that a cluster must have.

mod exported_service;

use redirector_kube::policies::{crd, remote_cluster_crd, yaml};
use serde_json::Value;

use self::exported_service::exported_service_crd;

/// Flags of `crd`.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(after_help = "\
A FailoverPolicy says where the connections of a Service go when its replicas fail; a RemoteCluster says
that another cluster may be used, and where its endpoints are; an ExportedService is what clusters tell
each other of a Service. The API server must know the kinds before anybody can write one; this needs no
agent and changes nothing by itself:

    redirector crd | kubectl apply -f -       teach a cluster the kinds, or renew them after an upgrade
    kubectl explain failoverpolicy.spec       what a policy can say, field by field
    kubectl get failoverpolicies -A           every policy, whether it is accepted and in the kernel
    kubectl get remoteclusters                every other cluster, whether it is heard and used

The smallest one, for Service checkout, with everything at its default:

    apiVersion: redirector.dev/v1alpha1
    kind: FailoverPolicy
    metadata: {name: checkout, namespace: shop}
    spec:
      targetRefs: [{kind: Service, name: checkout}]

To remove the kinds, and with them every object: redirector crd | kubectl delete -f -")]
pub(super) struct Args {
    /// Format of the output, one document after the other; kubectl reads both
    #[arg(short, long, value_enum, default_value_t = Format::Yaml)]
    output: Format,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    /// As in `deploy/crd`
    Yaml,
    /// For programs
    Json,
}

pub(super) fn run(args: &Args) {
    let definitions = definitions();
    match args.output {
        Format::Yaml => {
            let documents: Vec<String> = definitions.iter().map(yaml).collect();
            print!("{}", documents.join("---\n"));
        }
        Format::Json => definitions.iter().for_each(|definition| println!("{definition:#}")),
    }
}

/// FailoverPolicy comes first.
fn definitions() -> [Value; 3] {
    [crd(), remote_cluster_crd(), exported_service_crd()]
}
