//! Refuses an ExportedService whose names or ports could not be an object here.
//!
//! Another cluster's word becomes a path of this API server: only names that Kubernetes itself would
//! take are read.

use crate::api::{ExportedServiceSpec, export_name};

/// Most ports of a Service that are imported.
const MAX_PORTS: usize = 100;

/// Checks the fields that names and ports of this cluster's objects are made of.
///
/// # Errors
///
/// Which field, and what it should be.
pub(super) fn check(name: &str, spec: &ExportedServiceSpec) -> Result<(), String> {
    for (field, text) in [("namespace", &spec.namespace), ("name", &spec.name)] {
        if !is_label(text) {
            return Err(format!("spec.{field} {text:.80?} is no DNS label"));
        }
    }
    let expected = export_name(&spec.namespace, &spec.name);
    if name != expected {
        return Err(format!("its name is not {expected}, which is that of its Service"));
    }
    if spec.weight > 100 {
        return Err(format!("spec.weight {} is above 100", spec.weight));
    }
    if spec.ports.len() > MAX_PORTS {
        return Err(format!("spec.ports has more than {MAX_PORTS}"));
    }
    for port in &spec.ports {
        if !matches!(&*port.protocol, "TCP" | "UDP" | "SCTP") {
            return Err(format!(
                "protocol {:.80?} of a port is not TCP, UDP or SCTP",
                port.protocol
            ));
        }
        if port.port == 0 || !(port.name.is_empty() || is_label(&port.name)) {
            return Err(format!("port {:.80?} is not 1 to 65535, or its name no label", port.name));
        }
    }
    Ok(())
}

/// RFC 1123: 1 to 63 of a to z, 0 to 9 and `-`, which is neither first nor last.
fn is_label(text: &str) -> bool {
    let is_char = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(is_char)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{ExportedPort, ExportedType};

    #[test]
    fn a_name_that_would_be_another_path_is_refused() {
        let port = ExportedPort {
            name: "http".into(),
            protocol: "TCP".into(),
            app_protocol: None,
            port: 80,
        };
        let good = ExportedServiceSpec {
            namespace: "shop".into(),
            name: "web".into(),
            exported_at: "2026-11-30T22:00:00Z".into(),
            kind: ExportedType::ClusterSetIp,
            ports: vec![port],
            session_affinity: None,
            affinity_seconds: None,
            internal_traffic_policy: None,
            traffic_distribution: None,
            ip_families: Vec::new(),
            labels: [].into(),
            annotations: [].into(),
            weight: 100,
            ready: 0,
            gateways: Vec::new(),
            digest: String::new(),
        };
        assert_eq!(check("shop.web", &good), Ok(()));
        let wrong = |change: fn(&mut ExportedServiceSpec)| {
            let mut spec = good.clone();
            change(&mut spec);
            check("shop.web", &spec).expect_err("it is wrong")
        };
        assert_eq!(
            wrong(|spec| spec.namespace = "../kube-system".into()),
            "spec.namespace \"../kube-system\" is no DNS label"
        );
        assert_eq!(
            wrong(|spec| spec.name = "api".into()),
            "its name is not shop.api, which is that of its Service"
        );
        assert_eq!(wrong(|spec| spec.weight = 101), "spec.weight 101 is above 100");
        assert_eq!(
            wrong(|spec| spec.ports[0].protocol = "ICMP".into()),
            "protocol \"ICMP\" of a port is not TCP, UDP or SCTP"
        );
        assert!(wrong(|spec| spec.ports[0].port = 0).starts_with("port \"http\" is not 1 to"));
    }
}
