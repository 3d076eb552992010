//! Validates a policy, whatever validated it before, and turns it into what the core understands.

mod probe;
mod tiers;

use std::time::Duration;

use redirector_common::Limits;
use redirector_core::service::{Failback, LIMITS, Policy, ServiceRef};

use super::{
    FailbackSpec, FailoverPolicySpec, Field, Invalid, PassiveSpec, Problem, TierServiceSpec,
    bounds::{
        BASE_EJECTION, CONNECT_TIMEOUT, Durations, HOLD_DOWN, MAX_EJECTION, MAX_FAILURES,
        MIN_HEALTHY, Numbers, OVERPROVISIONING, RAMP, shown,
    },
};

impl FailoverPolicySpec {
    /// What the policy means for the service `own`. `refer` says which service a tier's name and
    /// port are, or what is wrong with the name.
    ///
    /// # Errors
    ///
    /// Every field that is out of its bounds or contradicts another one, in their order.
    pub fn policy(
        &self,
        own: &ServiceRef,
        refer: impl FnMut(&TierServiceSpec) -> Result<ServiceRef, String>,
    ) -> Result<Policy, Invalid> {
        let (policy, problems) = self.convert(own, refer);
        if problems.is_empty() { Ok(policy) } else { Err(Invalid(problems)) }
    }

    /// What [`policy`](Self::policy) says, and everything that is wrong. What is wrong has its
    /// default then; only a tier that is the service itself stays, as one without backends.
    #[must_use]
    pub fn convert(
        &self,
        own: &ServiceRef,
        refer: impl FnMut(&TierServiceSpec) -> Result<ServiceRef, String>,
    ) -> (Policy, Vec<Problem>) {
        let mut checks = Checks { own, refer, problems: Vec::new() };
        let policy = checks.policy(self);
        (policy, checks.problems)
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
            // An owner who declares any policy declares fail-back.
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
}

impl<R> Checks<'_, R> {
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

/// The begin of a text, short enough for a message.
pub(super) fn cut(text: &str) -> &str {
    text.char_indices().nth(80).map_or(text, |(end, _)| &text[..end])
}
