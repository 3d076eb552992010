//! The contenders: what stands between a client and the replicas.

use std::net::SocketAddr;

use super::{
    cast::{Member, PROXY, SERVICE},
    config::envoy::Settings,
};

/// What stands between a client and the replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Contender {
    /// The client dials the replicas itself, one after the other, and knows nothing of their health
    Direct,
    /// Redirector with a policy that names two tiers and leaves the rest at its defaults
    Redirector,
    /// The same with an HTTP probe
    RedirectorHttp,
    /// kube-proxy's rules, from which a readiness probe takes an endpoint after 10 s
    Iptables,
    /// HAProxy in TCP mode with Debian's timeouts and its default checks
    Haproxy,
    /// HAProxy with HTTP checks, failures of clients as evidence, and short times
    HaproxyTuned,
    /// Envoy as Istio generates it for a DestinationRule with `outlierDetection: {}`
    EnvoyIstio,
    /// The same with `maxEjectionPercent: 100`
    EnvoyIstio100,
    /// The same with short times
    EnvoyIstioTuned,
    /// Envoy as Consul generates it
    EnvoyConsul,
    /// Envoy at its best: HTTP checks, three attempts
    EnvoyChecked,
}

/// What a contender runs on a client's node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Means {
    /// Nothing.
    Nothing,
    /// The agent, with or without an HTTP probe.
    Agent { http: bool },
    /// Rules of iptables.
    Rules,
    /// HAProxy, tuned or not.
    Haproxy { tuned: bool },
    /// Envoy.
    Envoy(Settings),
}

impl Contender {
    /// As `--contenders` and the tables call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Redirector => "redirector",
            Self::RedirectorHttp => "redirector-http",
            Self::Iptables => "iptables",
            Self::Haproxy => "haproxy",
            Self::HaproxyTuned => "haproxy-tuned",
            Self::EnvoyIstio => "envoy-istio",
            Self::EnvoyIstio100 => "envoy-istio100",
            Self::EnvoyIstioTuned => "envoy-istio-tuned",
            Self::EnvoyConsul => "envoy-consul",
            Self::EnvoyChecked => "envoy-checked",
        }
    }

    pub(super) fn means(self) -> Means {
        match self {
            Self::Direct => Means::Nothing,
            Self::Redirector => Means::Agent { http: false },
            Self::RedirectorHttp => Means::Agent { http: true },
            Self::Iptables => Means::Rules,
            Self::Haproxy => Means::Haproxy { tuned: false },
            Self::HaproxyTuned => Means::Haproxy { tuned: true },
            Self::EnvoyIstio => Means::Envoy(Settings::Istio),
            Self::EnvoyIstio100 => Means::Envoy(Settings::Istio100),
            Self::EnvoyIstioTuned => Means::Envoy(Settings::IstioTuned),
            Self::EnvoyConsul => Means::Envoy(Settings::Consul),
            Self::EnvoyChecked => Means::Envoy(Settings::Checked),
        }
    }

    /// What its clients dial, in turn, where the cost of a connection is measured: the replicas that
    /// the others lead them to, so that none dials more of them than another.
    pub(super) fn near_addresses(self) -> Vec<SocketAddr> {
        match self.means() {
            Means::Nothing => {
                Member::all().filter(|one| one.is_near()).map(Member::address).collect()
            }
            Means::Agent { .. } | Means::Rules | Means::Haproxy { .. } | Means::Envoy(_) => {
                self.addresses()
            }
        }
    }

    /// What its clients dial, in turn.
    pub(super) fn addresses(self) -> Vec<SocketAddr> {
        match self.means() {
            Means::Nothing => Member::all().map(Member::address).collect(),
            Means::Agent { .. } | Means::Rules => vec![SERVICE],
            Means::Haproxy { .. } | Means::Envoy(_) => vec![PROXY],
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn the_tables_call_a_contender_as_the_command_line_does() {
        for contender in Contender::value_variants() {
            let value = contender.to_possible_value().expect("none is hidden");
            assert_eq!(value.get_name(), contender.name());
        }
    }
}
