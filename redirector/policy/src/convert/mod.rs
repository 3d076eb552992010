//! Validates a policy, whatever validated it before, and turns it into what the core understands.

mod probe;
mod tiers;

use std::time::Duration;

use redirector_common::Limits;
use redirector_core::service::{Failback, LIMITS, Policy, ServiceRef, UNRESPONSIVE};

use super::{
    FailbackSpec, FailoverPolicySpec, Field, PassiveSpec, Problem, Segment, TierServiceSpec,
    bounds::{
        BASE_EJECTION, CONNECT_TIMEOUT, Durations, HOLD_DOWN, MAX_EJECTION, MAX_FAILURES,
        MIN_HEALTHY, Numbers, OVERPROVISIONING, RAMP, Texts, shown,
    },
};

impl FailoverPolicySpec {
    /// What the policy means for the service `own`, and every field that is out of its bounds or
    /// contradicts another one, in their order. `refer` says which service a tier's name and port
    /// are, or what is wrong with the name. What is wrong has its default; only a tier that is the
    /// service itself stays, as one without backends.
    #[must_use]
    pub fn convert(
        &self,
        own: &ServiceRef,
        refer: impl FnMut(&TierServiceSpec) -> Result<ServiceRef, String>,
    ) -> (Policy, Vec<Problem>) {
        let mut checks = Checks { own, refer, field: Field::default(), problems: Vec::new() };
        let policy = checks.policy(self);
        (policy, checks.problems)
    }
}

/// The problems so far.
struct Checks<'a, R> {
    own: &'a ServiceRef,
    refer: R,
    /// What is being checked.
    field: Field,
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
        let default = Policy::default();
        Policy {
            tiers: self.of("tiers", tiers, |checks, tiers| checks.tiers(tiers)).unwrap_or_default(),
            mode: mode.map(Into::into).unwrap_or_default(),
            overprovisioning_percent: self
                .number("overprovisioningPercent", *overprovisioning_percent, OVERPROVISIONING)
                .unwrap_or(default.overprovisioning_percent),
            min_healthy_percent: self
                .number("minHealthyPercent", *min_healthy_percent, MIN_HEALTHY)
                .unwrap_or(default.min_healthy_percent),
            // An owner who declares any policy declares fail-back.
            failback: self.of("failback", failback, Self::failback).or(Some(Failback::default())),
            all_down: all_down.map(Into::into).unwrap_or_default(),
            on_backend_lost: on_backend_lost.map(Into::into).unwrap_or_default(),
            limits: Limits {
                connect_timeout_ms: self
                    .duration("connectTimeout", connect_timeout, CONNECT_TIMEOUT)
                    .and_then(|ms| ms.try_into().ok())
                    .unwrap_or(LIMITS.connect_timeout_ms),
                ..self.of("passive", passive, Self::passive).unwrap_or(LIMITS)
            },
            unresponsive: self
                .of("passive", passive, Self::unresponsive)
                .unwrap_or(default.unresponsive),
            probe: self.of("probe", probe, Self::probe),
        }
    }

    fn failback(&mut self, failback: &FailbackSpec) -> Failback {
        let FailbackSpec { mode, hold_down, ramp } = failback;
        let default = Failback::default();
        Failback {
            mode: mode.map_or(default.mode, Into::into),
            hold_down_ms: self
                .duration("holdDown", hold_down, HOLD_DOWN)
                .unwrap_or(default.hold_down_ms),
            ramp_ms: self.duration("ramp", ramp, RAMP).unwrap_or(default.ramp_ms),
        }
    }

    fn unresponsive(&mut self, passive: &PassiveSpec) -> u8 {
        let number = self.number("unresponsive", passive.unresponsive, MAX_FAILURES);
        number.unwrap_or(UNRESPONSIVE)
    }

    fn passive(&mut self, passive: &PassiveSpec) -> Limits {
        let PassiveSpec { refused, timeouts, unresponsive: _, base_ejection, max_ejection } =
            passive;
        let base = self.duration("baseEjection", base_ejection, BASE_EJECTION);
        let max = self.duration("maxEjection", max_ejection, MAX_EJECTION);
        if let (Some(text), Some(base), Some(max)) = (base_ejection, base, max)
            && base > max
        {
            let max = shown(Duration::from_millis(max.into()));
            self.add_at("baseEjection", format!("{text} is above the maxEjection of {max}"));
        }
        let base_ejection_ms =
            base.unwrap_or(LIMITS.base_ejection_ms.min(max.unwrap_or(LIMITS.max_ejection_ms)));
        Limits {
            refused: self.number("refused", *refused, MAX_FAILURES).unwrap_or(LIMITS.refused),
            timeouts: self.number("timeouts", *timeouts, MAX_FAILURES).unwrap_or(LIMITS.timeouts),
            connect_timeout_ms: LIMITS.connect_timeout_ms,
            base_ejection_ms,
            max_ejection_ms: max.unwrap_or(LIMITS.max_ejection_ms.max(base_ejection_ms)),
        }
    }
}

impl<R> Checks<'_, R> {
    /// Checks a field, if it is there.
    fn of<V, T>(
        &mut self,
        name: &'static str,
        value: &Option<V>,
        check: impl FnOnce(&mut Self, &V) -> T,
    ) -> Option<T> {
        let value = value.as_ref()?;
        Some(self.within(Segment::Name(name), |checks| check(checks, value)))
    }

    /// Checks what stands at a step further in.
    fn within<T>(&mut self, step: Segment, check: impl FnOnce(&mut Self) -> T) -> T {
        self.field.0.push(step);
        let found = check(self);
        self.field.0.pop();
        found
    }

    fn number<N: TryFrom<i32>>(
        &mut self,
        name: &'static str,
        number: Option<i32>,
        bounds: Numbers,
    ) -> Option<N> {
        bounds.check(number?).map_err(|why| self.add_at(name, why)).ok()
    }

    fn duration(
        &mut self,
        name: &'static str,
        text: &Option<String>,
        bounds: Durations,
    ) -> Option<u32> {
        bounds.check(text.as_ref()?).map_err(|why| self.add_at(name, why)).ok()
    }

    fn text(&mut self, name: &'static str, text: &str, form: &Texts) {
        if let Err(why) = form.check(text) {
            self.add_at(name, why);
        }
    }

    /// Adds a problem of a field of what is being checked.
    fn add_at(&mut self, name: &'static str, message: impl Into<String>) {
        self.within(Segment::Name(name), |checks| checks.add(message));
    }

    /// Adds a problem of what is being checked.
    fn add(&mut self, message: impl Into<String>) {
        let (field, message) = (self.field.clone(), message.into());
        self.problems.push(Problem { field, message });
    }
}

/// The begin of a text, short enough for a message.
pub(super) fn cut(text: &str) -> &str {
    text.char_indices().nth(80).map_or(text, |(end, _)| &text[..end])
}
