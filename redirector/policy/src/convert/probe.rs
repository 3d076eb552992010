//! Validates the probe of a policy.

use std::{sync::Arc, time::Duration};

use redirector_core::service::{Probe, ProbeKind};

use super::{
    super::{
        GrpcProbe, HttpProbe, ProbeSpec,
        bounds::{
            FAST_INTERVAL, GRPC_SERVICE, HOST, INTERVAL, PATH, PORT, STATUS, THRESHOLD, TIMEOUT,
            shown,
        },
    },
    Checks,
};

/// Healthy status of an HTTP probe: what kubelet's probes accept.
const HEALTHY: (u16, u16) = (200, 399);

impl<R> Checks<'_, R> {
    pub(super) fn probe(&mut self, probe: &ProbeSpec) -> Probe {
        let ProbeSpec { tcp, http, grpc, interval, fast_interval, timeout, unhealthy, healthy } =
            probe;
        let default = Probe::default();
        let kinds = [tcp.is_some(), http.is_some(), grpc.is_some()];
        let is_of_several = kinds.into_iter().filter(|is_given| *is_given).count() > 1;
        if is_of_several {
            self.add("is of several kinds; give it at most one of tcp, http and grpc");
        }
        let http = self.of("http", http, Self::http);
        let grpc = self.of("grpc", grpc, Self::grpc);
        let kind = http.or(grpc).filter(|_| !is_of_several);
        let (kind, port) = kind.unwrap_or((ProbeKind::Tcp, None));
        let interval_ms =
            self.duration("interval", interval, INTERVAL).unwrap_or(default.interval_ms);
        let within = |checks: &mut Self, name, text: &Option<String>, bounds| {
            let ms = checks.duration(name, text, bounds);
            if let (Some(text), Some(ms)) = (text, ms)
                && ms > interval_ms
            {
                let interval = shown(Duration::from_millis(interval_ms.into()));
                checks.add_at(name, format!("{text} is above the interval of {interval}"));
            }
            ms
        };
        let fast_interval_ms = within(self, "fastInterval", fast_interval, FAST_INTERVAL);
        let timeout_ms = within(self, "timeout", timeout, TIMEOUT);
        Probe {
            kind,
            port,
            interval_ms,
            fast_interval_ms: match fast_interval_ms {
                Some(0) => interval_ms,
                Some(ms) => ms,
                None => default.fast_interval_ms.min(interval_ms),
            },
            timeout_ms: timeout_ms.unwrap_or(default.timeout_ms.min(interval_ms)),
            unhealthy: self.number("unhealthy", *unhealthy, THRESHOLD).unwrap_or(default.unhealthy),
            healthy: self.number("healthy", *healthy, THRESHOLD).unwrap_or(default.healthy),
        }
    }

    fn http(&mut self, http: &HttpProbe) -> (ProbeKind, Option<u16>) {
        let HttpProbe { path, host, port, status } = http;
        let path = path.as_deref().unwrap_or("/");
        self.text("path", path, &PATH);
        if let Some(host) = host {
            self.text("host", host, &HOST);
        }
        let status = status.as_deref().map_or(Some(HEALTHY), |status| {
            let range = statuses(status);
            if range.is_none() {
                self.add_at("status", STATUS.refuse(status));
            }
            range
        });
        let host = host.as_deref().map(Arc::from);
        let port = self.number("port", *port, PORT);
        let status = status.unwrap_or(HEALTHY);
        (ProbeKind::Http { path: path.into(), host, status }, port)
    }

    fn grpc(&mut self, grpc: &GrpcProbe) -> (ProbeKind, Option<u16>) {
        let GrpcProbe { service, port } = grpc;
        let service = service.as_deref().unwrap_or_default();
        self.text("service", service, &GRPC_SERVICE);
        let port = self.number("port", *port, PORT);
        (ProbeKind::Grpc { service: service.into() }, port)
    }
}

/// `200` or `200-399`.
fn statuses(text: &str) -> Option<(u16, u16)> {
    STATUS.check(text).ok()?;
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first, last))
}
