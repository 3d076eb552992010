//! `redirector crd`: the definition of FailoverPolicy that a cluster must have.

use redirector_kube::policies::{crd, crd_yaml};

/// Flags of `crd`.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(after_help = "\
A FailoverPolicy says where the connections of a Service go when its replicas fail. The API server
must know the kind before anybody can write one; this needs no agent and changes nothing by itself:

    redirector crd | kubectl apply -f -       teach a cluster the kind, or renew it after an upgrade
    kubectl explain failoverpolicy.spec       what a policy can say, field by field
    kubectl get failoverpolicies -A           every policy, whether it is accepted and in the kernel

The smallest one, for Service checkout, with everything at its default:

    apiVersion: redirector.dev/v1alpha1
    kind: FailoverPolicy
    metadata: {name: checkout, namespace: shop}
    spec:
      targetRefs: [{kind: Service, name: checkout}]

To remove the kind, and with it every policy: redirector crd | kubectl delete -f -")]
pub(super) struct Args {
    /// Format of the output; kubectl reads both
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
    match args.output {
        Format::Yaml => print!("{}", crd_yaml()),
        Format::Json => println!("{:#}", crd()),
    }
}
