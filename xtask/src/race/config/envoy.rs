//! Envoy as a TCP proxy, configured as Istio and Consul do, and as well as it can be.
//!
//! The clients' zone has priority 0, the others have priority 1: what locality failover comes to.

use serde_json::{Value, json};

use crate::race::cast::{Member, PROXY};

/// Whose settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Settings {
    /// `pilot/pkg/networking/core/cluster_traffic_policy.go` for a DestinationRule with
    /// `outlierDetection: {}`: what it does not say is Envoy's default, but for the panic threshold.
    Istio,
    /// The same with `maxEjectionPercent: 100`: below 10 endpoints the default of 10 % ejects none.
    Istio100,
    /// `consecutive5xxErrors: 2`, `interval: 250ms`, `maxEjectionPercent: 100`, a connect timeout of
    /// 300 ms.
    IstioTuned,
    /// `agent/xds/clusters.go` of Consul for an upstream without `PassiveHealthCheck`.
    Consul,
    /// HTTP checks every 250 ms, outlier detection as tuned, three attempts of 300 ms each, changes
    /// of hosts at once, and connections to a host that has failed are closed.
    Checked,
}

impl Settings {
    fn connect_timeout(self) -> &'static str {
        match self {
            Self::Istio | Self::Istio100 => "10s",
            Self::Consul => "5s",
            Self::IstioTuned | Self::Checked => "0.3s",
        }
    }

    fn lb_policy(self) -> &'static str {
        match self {
            Self::Consul => "ROUND_ROBIN",
            _ => "LEAST_REQUEST",
        }
    }

    fn outlier_detection(self) -> Value {
        match self {
            Self::Istio => json!({"enforcing_success_rate": 0}),
            Self::Istio100 => json!({"enforcing_success_rate": 0, "max_ejection_percent": 100}),
            Self::Consul => json!({}),
            Self::IstioTuned | Self::Checked => json!({
                "consecutive_5xx": 2, "interval": "0.25s",
                "enforcing_success_rate": 0, "max_ejection_percent": 100,
            }),
        }
    }

    fn connect_attempts(self) -> u32 {
        match self {
            Self::Checked => 3,
            _ => 1,
        }
    }
}

/// A bootstrap, as JSON, without an admin endpoint.
pub(in crate::race) fn text(settings: Settings) -> String {
    let mut cluster = json!({
        "name": "checkout",
        "type": "STATIC",
        "connect_timeout": settings.connect_timeout(),
        "lb_policy": settings.lb_policy(),
        "outlier_detection": settings.outlier_detection(),
        // Both turn the panic threshold off.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "load_assignment": {"cluster_name": "checkout", "endpoints": [
            endpoints("a", 0), endpoints("b", 1), endpoints("c", 1),
        ]},
    });
    if settings != Settings::Consul {
        // Consul leaves Envoy's own limit, 1,024 connections; Istio lifts it.
        cluster["circuit_breakers"] = json!({"thresholds": [{
            "max_connections": u32::MAX, "max_pending_requests": u32::MAX,
            "max_requests": u32::MAX, "max_retries": u32::MAX,
        }]});
    }
    if settings == Settings::Checked {
        cluster["close_connections_on_host_health_failure"] = json!(true);
        cluster["common_lb_config"]["update_merge_window"] = json!("0s");
        cluster["health_checks"] = json!([{
            "timeout": "0.25s", "interval": "0.25s", "unhealthy_threshold": 2,
            "healthy_threshold": 2, "no_traffic_interval": "0.25s",
            "http_health_check": {"path": "/healthz"},
        }]);
    }
    let proxy = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": "checkout",
        "cluster": "checkout",
        "max_connect_attempts": settings.connect_attempts(),
    });
    let bootstrap = json!({"static_resources": {
        "listeners": [{
            "name": "checkout",
            "address": socket(&PROXY.ip().to_string(), PROXY.port()),
            "filter_chains": [{"filters": [
                {"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy},
            ]}],
        }],
        "clusters": [cluster],
    }});
    format!("{bootstrap:#}\n")
}

fn endpoints(zone: &str, priority: u32) -> Value {
    let members = Member::all().filter(|member| member.zone() == zone);
    let endpoints: Vec<_> = members
        .map(|member| {
            let address = member.address();
            let address = socket(&address.ip().to_string(), address.port());
            json!({"endpoint": {"address": address}})
        })
        .collect();
    json!({
        "locality": {"region": "eu", "zone": zone}, "priority": priority,
        "load_balancing_weight": endpoints.len(), "lb_endpoints": endpoints,
    })
}

fn socket(address: &str, port: u16) -> Value {
    json!({"socket_address": {"address": address, "port_value": port}})
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command};

    use super::*;
    use crate::race::install;

    #[test]
    fn the_clients_zone_comes_first() {
        let parsed: Value = serde_json::from_str(&text(Settings::Consul)).expect("JSON");
        let all = &parsed["static_resources"]["clusters"][0]["load_assignment"]["endpoints"];
        let priorities: Vec<_> = (0..3).map(|number| &all[number]["priority"]).collect();

        assert_eq!(priorities, [0, 1, 1]);
        assert_eq!(all[0]["lb_endpoints"].as_array().map(Vec::len), Some(3));
    }

    #[test]
    fn envoy_takes_the_configurations() {
        let Ok(envoy) = install::find_envoy() else { return };
        use Settings::{Checked, Consul, Istio, Istio100, IstioTuned};
        for settings in [Istio, Istio100, IstioTuned, Consul, Checked] {
            let name = format!("race-{}-{settings:?}.json", std::process::id());
            let file = std::env::temp_dir().join(name);
            fs::write(&file, text(settings)).expect("a file");
            let mut command = Command::new(&envoy);
            command.args(["--mode", "validate", "-l", "error", "-c"]).arg(&file);
            let output = command.output();
            fs::remove_file(&file).expect("it is there");
            let output = output.expect("envoy runs");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
    }
}
