//! Validates a policy, whatever validated it before, and turns it into what the core understands.

use std::{collections::HashMap, sync::Arc, time::Duration};

use redirector_common::Limits;
use redirector_core::service::{
    Failback, LIMITS, Members, Policy, Probe, ProbeKind, ServiceRef, TierRule,
};

use super::{
    FailbackSpec, FailoverPolicySpec, Field, GrpcProbe, HttpProbe, Invalid, PassiveSpec, ProbeSpec,
    Problem, TierServiceSpec, TierSpec,
    bounds::{
        BASE_EJECTION, CONNECT_TIMEOUT, Durations, HOLD_DOWN, INTERVAL, MAX_EJECTION, MAX_FAILURES,
        MIN_HEALTHY, Numbers, OVERPROVISIONING, PORT, RAMP, THRESHOLD, TIMEOUT, shown,
    },
    rules::{LONGEST_PLACE, MAX_PLACES},
};

/// Most tiers.
const MAX_TIERS: usize = redirector_common::MAX_TIERS;
/// Healthy status of an HTTP probe: what kubelet's probes accept.
const STATUS: (u16, u16) = (200, 399);

impl FailoverPolicySpec {
    /// What it means for the service `own`. `refer` says which service a tier's name and port are,
    /// or what is wrong with the name.
    ///
    /// # Errors
    ///
    /// Every field that is out of its bounds or contradicts another one, in their order.
    pub fn policy(
        &self,
        own: &ServiceRef,
        refer: impl FnMut(&TierServiceSpec) -> Result<ServiceRef, String>,
    ) -> Result<Policy, Invalid> {
        let mut checks = Checks { own, refer, problems: Vec::new() };
        let policy = checks.policy(self);
        if checks.problems.is_empty() { Ok(policy) } else { Err(Invalid(checks.problems)) }
    }
}

/// The problems so far.
struct Checks<'a, R> {
    own: &'a ServiceRef,
    refer: R,
    problems: Vec<Problem>,
}

impl<R: FnMut(&TierServiceSpec) -> Result<ServiceRef, String>> Checks<'_, R> {
    fn policy(&mut self, spec: &FailoverPolicySpec) -> Policy {
        let FailoverPolicySpec {
            tiers,
            mode,
            overprovisioning_percent,
            min_healthy_percent,
            failback,
            all_down,
            connect_timeout,
            on_backend_lost,
            passive,
            probe,
        } = spec;
        let root = Field::default();
        let Policy {
            overprovisioning_percent: overprovisioning,
            min_healthy_percent: min_healthy,
            ..
        } = Policy::default();
        let passive_field = root.field("passive");
        Policy {
            tiers: self.tiers(&root.field("tiers"), tiers.as_deref()),
            mode: mode.map(Into::into).unwrap_or_default(),
            overprovisioning_percent: self
                .number(
                    &root.field("overprovisioningPercent"),
                    *overprovisioning_percent,
                    OVERPROVISIONING,
                )
                .unwrap_or(overprovisioning),
            min_healthy_percent: self
                .number(&root.field("minHealthyPercent"), *min_healthy_percent, MIN_HEALTHY)
                .unwrap_or(min_healthy),
            // Whoever declares anything declares fail-back.
            failback: Some(self.failback(&root.field("failback"), failback.as_ref())),
            all_down: all_down.map(Into::into).unwrap_or_default(),
            on_backend_lost: on_backend_lost.map(Into::into).unwrap_or_default(),
            limits: Limits {
                connect_timeout_ms: self
                    .duration(
                        &root.field("connectTimeout"),
                        connect_timeout.as_deref(),
                        CONNECT_TIMEOUT,
                    )
                    .and_then(|ms| ms.try_into().ok())
                    .unwrap_or(LIMITS.connect_timeout_ms),
                ..self.passive(&passive_field, passive.as_ref())
            },
            probe: probe.as_ref().map(|probe| self.probe(&root.field("probe"), probe)),
        }
    }

    fn tiers(&mut self, field: &Field, tiers: Option<&[TierSpec]>) -> Vec<TierRule> {
        let Some(tiers) = tiers else { return Vec::new() };
        if tiers.is_empty() {
            self.add(field, "lists no tier; list at least one, or leave it out for localities");
        }
        if tiers.len() > MAX_TIERS {
            let many = format!("is one too many; at most {MAX_TIERS} tiers are allowed");
            self.add(&field.index(MAX_TIERS), many);
        }
        let mut names = HashMap::new();
        let mut rules = Vec::with_capacity(tiers.len());
        for (at, tier) in tiers.iter().enumerate() {
            let field = field.index(at);
            self.tier_name(&field, &tier.name);
            if let Some(first) = names.insert(tier.name.as_str(), at)
                && !tier.name.is_empty()
            {
                let taken = format!("{:?} is already that of tiers[{first}]", tier.name);
                self.add(&field.field("name"), taken);
            }
            if let Some(members) = self.members(&field, tier) {
                rules.push(TierRule { name: tier.name.as_str().into(), members });
            }
        }
        rules
    }

    fn tier_name(&mut self, field: &Field, name: &str) {
        let inner = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
        let is_dashed = name.starts_with('-') || name.ends_with('-');
        if name.is_empty() {
            self.add(field, "has no name; give it one");
        } else if name.len() > 63 || is_dashed || !name.as_bytes().iter().all(|byte| inner(byte)) {
            let odd = format!(
                "{:?} is none; use 1 to 63 lower-case letters, digits and, between them, dashes",
                cut(name)
            );
            self.add(&field.field("name"), odd);
        }
    }

    fn members(&mut self, field: &Field, tier: &TierSpec) -> Option<Members> {
        let TierSpec { name: _, locality, zones, regions, clusters, service } = tier;
        let is_named = zones.is_some() || regions.is_some() || clusters.is_some();
        match (locality, is_named, service) {
            (Some(locality), false, None) => Some(Members::Within((*locality).into())),
            (None, true, None) => Some(Members::Named {
                zones: self.places(&field.field("zones"), zones.as_deref()),
                regions: self.places(&field.field("regions"), regions.as_deref()),
                clusters: self.places(&field.field("clusters"), clusters.as_deref()),
            }),
            (None, false, Some(service)) => self.service(&field.field("service"), service),
            (None, false, None) => {
                self.add(
                    field,
                    "has no members; give it a locality, zones, regions, clusters or a service",
                );
                None
            }
            _ => {
                let many = "has members of several kinds; give it one of locality, \
                            zones/regions/clusters, and service";
                self.add(field, many);
                None
            }
        }
    }

    fn places(&mut self, field: &Field, names: Option<&[String]>) -> Vec<Arc<str>> {
        let Some(names) = names else { return Vec::new() };
        if names.is_empty() {
            self.add(field, "lists nothing; list at least one, or leave it out for any");
        }
        if names.len() > MAX_PLACES {
            let many = format!("is one too many; at most {MAX_PLACES} are allowed");
            self.add(&field.index(MAX_PLACES), many);
        }
        for (at, name) in names.iter().enumerate() {
            if let Some(why) = place_objection(name) {
                self.add(&field.index(at), why);
            }
        }
        names.iter().map(|name| Arc::from(name.as_str())).collect()
    }

    fn service(&mut self, field: &Field, service: &TierServiceSpec) -> Option<Members> {
        if service.name.is_empty() {
            self.add(field, "has no name; name another service");
            return None;
        }
        match (self.refer)(service) {
            Ok(found) if found == *self.own => {
                self.add(field, "is the service itself; name another one");
                None
            }
            Ok(found) => Some(Members::Service(found)),
            Err(why) => {
                self.add(&field.field("name"), why);
                None
            }
        }
    }

    fn failback(&mut self, field: &Field, failback: Option<&FailbackSpec>) -> Failback {
        let default = Failback::default();
        let Some(FailbackSpec { mode, hold_down, ramp }) = failback else { return default };
        Failback {
            mode: mode.map_or(default.mode, Into::into),
            hold_down_ms: self
                .duration(&field.field("holdDown"), hold_down.as_deref(), HOLD_DOWN)
                .unwrap_or(default.hold_down_ms),
            ramp_ms: self
                .duration(&field.field("ramp"), ramp.as_deref(), RAMP)
                .unwrap_or(default.ramp_ms),
        }
    }

    fn passive(&mut self, field: &Field, passive: Option<&PassiveSpec>) -> Limits {
        let Some(passive) = passive else { return LIMITS };
        let PassiveSpec { refused, timeouts, base_ejection, max_ejection } = passive;
        let base_field = field.field("baseEjection");
        let base = self.duration(&base_field, base_ejection.as_deref(), BASE_EJECTION);
        let max = self.duration(&field.field("maxEjection"), max_ejection.as_deref(), MAX_EJECTION);
        if let (Some(text), Some(base), Some(max)) = (base_ejection, base, max)
            && base > max
        {
            let max = shown(Duration::from_millis(max.into()));
            self.add(&base_field, format!("{text} is above the maxEjection of {max}"));
        }
        let base_ejection_ms =
            base.unwrap_or(LIMITS.base_ejection_ms.min(max.unwrap_or(LIMITS.max_ejection_ms)));
        Limits {
            refused: self
                .number(&field.field("refused"), *refused, MAX_FAILURES)
                .unwrap_or(LIMITS.refused),
            timeouts: self
                .number(&field.field("timeouts"), *timeouts, MAX_FAILURES)
                .unwrap_or(LIMITS.timeouts),
            connect_timeout_ms: LIMITS.connect_timeout_ms,
            base_ejection_ms,
            max_ejection_ms: max.unwrap_or(LIMITS.max_ejection_ms.max(base_ejection_ms)),
        }
    }

    fn probe(&mut self, field: &Field, probe: &ProbeSpec) -> Probe {
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

    fn number<N: TryFrom<i32>>(
        &mut self,
        field: &Field,
        number: Option<i32>,
        bounds: Numbers,
    ) -> Option<N> {
        bounds.check(number?).map_err(|why| self.add(field, why)).ok()
    }

    fn duration(&mut self, field: &Field, text: Option<&str>, bounds: Durations) -> Option<u32> {
        bounds.check(text?).map_err(|why| self.add(field, why)).ok()
    }

    fn add(&mut self, field: &Field, message: impl Into<String>) {
        self.problems.push(Problem { field: field.clone(), message: message.into() });
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

fn place_objection(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("is empty; give it a name or leave it out".to_owned());
    }
    if name.len() > LONGEST_PLACE {
        return Some(format!("is {} bytes long; at most {LONGEST_PLACE} are allowed", name.len()));
    }
    let odd = name.chars().find(|found| !found.is_ascii_graphic())?;
    Some(format!("contains {odd:?}; names of places have printable ASCII characters only"))
}

/// Not too long for a message.
fn cut(text: &str) -> &str {
    text.char_indices().nth(80).map_or(text, |(end, _)| &text[..end])
}
