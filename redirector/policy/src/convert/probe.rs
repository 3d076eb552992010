//! Validates the probe of a policy.

use std::{sync::Arc, time::Duration};

use redirector_core::service::{Probe, ProbeKind};

use super::{
    super::{
        Field, GrpcProbe, HttpProbe, ProbeSpec,
        bounds::{INTERVAL, PORT, THRESHOLD, TIMEOUT, shown},
    },
    Checks, cut,
};

/// Healthy status of an HTTP probe: what kubelet's probes accept.
const STATUS: (u16, u16) = (200, 399);

impl<R> Checks<'_, R> {
    pub(super) fn probe(&mut self, field: &Field, probe: &ProbeSpec) -> Probe {
        let ProbeSpec { tcp, http, grpc, interval, timeout, unhealthy, healthy } = probe;
        let default = Probe::default();
        let (kind, port) = match (tcp, http, grpc) {
            (_, None, None) => (ProbeKind::Tcp, None),
            (None, Some(http), None) => self.http(&field.field("http"), http),
            (None, None, Some(grpc)) => self.grpc(&field.field("grpc"), grpc),
            _ => {
                self.add(field, "is of several kinds; give it at most one of tcp, http and grpc");
                (ProbeKind::Tcp, None)
            }
        };
        let interval_ms = self
            .duration(&field.field("interval"), interval.as_deref(), INTERVAL)
            .unwrap_or(default.interval_ms);
        let timeout_field = field.field("timeout");
        let timeout_ms = self.duration(&timeout_field, timeout.as_deref(), TIMEOUT);
        if let (Some(text), Some(ms)) = (timeout, timeout_ms)
            && ms > interval_ms
        {
            let interval = shown(Duration::from_millis(interval_ms.into()));
            self.add(&timeout_field, format!("{text} is above the interval of {interval}"));
        }
        Probe {
            kind,
            port,
            interval_ms,
            timeout_ms: timeout_ms.unwrap_or(default.timeout_ms.min(interval_ms)),
            unhealthy: self
                .number(&field.field("unhealthy"), *unhealthy, THRESHOLD)
                .unwrap_or(default.unhealthy),
            healthy: self
                .number(&field.field("healthy"), *healthy, THRESHOLD)
                .unwrap_or(default.healthy),
        }
    }

    fn http(&mut self, field: &Field, http: &HttpProbe) -> (ProbeKind, Option<u16>) {
        let HttpProbe { path, host, port, status } = http;
        let path = path.as_deref().unwrap_or("/");
        let is_path_byte =
            |byte: u8| byte.is_ascii_alphanumeric() || b"._~!$&'()*+,;=:@%/?-".contains(&byte);
        if !path.starts_with('/') || path.len() > 1_024 || !path.bytes().all(is_path_byte) {
            let odd = format!(
                "{:?} is no path such as /healthz or /ready?full=1, of at most 1024 characters; \
                 write others as %20",
                cut(path)
            );
            self.add(&field.field("path"), odd);
        }
        let is_host_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"._:[]-".contains(&byte);
        if let Some(host) = host
            && !((1..=253).contains(&host.len()) && host.bytes().all(is_host_byte))
        {
            let odd =
                format!("{:?} is no host such as shop.example or shop.example:8080", cut(host));
            self.add(&field.field("host"), odd);
        }
        let status = status.as_deref().map_or(Some(STATUS), statuses).unwrap_or_else(|| {
            let odd = format!(
                "{:?} is no status such as 204 and no range such as 200-399",
                cut(status.as_deref().unwrap_or_default())
            );
            self.add(&field.field("status"), odd);
            STATUS
        });
        let host = host.as_deref().map(Arc::from);
        let port = self.number(&field.field("port"), *port, PORT);
        (ProbeKind::Http { path: path.into(), host, status }, port)
    }

    fn grpc(&mut self, field: &Field, grpc: &GrpcProbe) -> (ProbeKind, Option<u16>) {
        let GrpcProbe { service, port } = grpc;
        let service = service.as_deref().unwrap_or_default();
        if service.len() > 253 || !service.bytes().all(|byte| byte.is_ascii_graphic()) {
            let odd = format!(
                "{:?} is no service such as shop.Checkout, of at most 253 characters",
                cut(service)
            );
            self.add(&field.field("service"), odd);
        }
        let port = self.number(&field.field("port"), *port, PORT);
        (ProbeKind::Grpc { service: service.into() }, port)
    }
}

/// `200` or `200-399`.
fn statuses(text: &str) -> Option<(u16, u16)> {
    let status = |text: &str| {
        let is_status = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|status| is_status && (100..600).contains(status))
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (status(first)?, status(last)?);
    (first <= last).then_some((first, last))
}
