//! What numbers, durations and texts a policy may hold: one place for the schema and for the
//! validation.

use std::{sync::OnceLock, time::Duration};

use regex::Regex;
use schemars::{Schema, transform::Transform};
use serde_json::json;

use super::convert::cut;

/// Both ends are allowed.
#[derive(Clone, Copy)]
pub(super) struct Numbers {
    pub from: i32,
    pub to: i32,
}

pub(super) const OVERPROVISIONING: Numbers = Numbers { from: 100, to: 1_000 };
pub(super) const MIN_HEALTHY: Numbers = Numbers { from: 1, to: 100 };
pub(super) const MAX_FAILURES: Numbers = Numbers { from: 0, to: 100 };
pub(super) const THRESHOLD: Numbers = Numbers { from: 1, to: 100 };
pub(super) const PORT: Numbers = Numbers { from: 1, to: 65_535 };

impl Numbers {
    /// `number` if it is allowed and fits. Errors: what is wrong with it.
    pub fn check<N: TryFrom<i32>>(self, number: i32) -> Result<N, String> {
        let Self { from, to } = self;
        let found = (from..=to).contains(&number).then(|| N::try_from(number).ok()).flatten();
        found.ok_or_else(|| format!("{number} is not between {from} and {to}"))
    }
}

/// Both ends are allowed.
#[derive(Clone, Copy)]
pub(super) struct Durations {
    from: Duration,
    to: Duration,
    /// Whether 0 is allowed, too, and switches something off.
    is_zero_allowed: bool,
}

pub(super) const CONNECT_TIMEOUT: Durations = Durations::of(300, 60_000);
pub(super) const HOLD_DOWN: Durations = Durations::of(0, 3_600_000);
pub(super) const RAMP: Durations = Durations::of(0, 3_600_000);
pub(super) const BASE_EJECTION: Durations = Durations::of(1_000, 3_600_000);
pub(super) const MAX_EJECTION: Durations = Durations::of(1_000, 86_400_000);
pub(super) const FAST_INTERVAL: Durations = Durations::of(50, 60_000).or_zero();
pub(super) const INTERVAL: Durations = Durations::of(100, 3_600_000);
pub(super) const KEEP_FOR: Durations = Durations::of(0, 86_400_000);
pub(super) const TIMEOUT: Durations = Durations::of(10, 60_000);

impl Durations {
    const fn of(from_ms: u64, to_ms: u64) -> Self {
        Self {
            from: Duration::from_millis(from_ms),
            to: Duration::from_millis(to_ms),
            is_zero_allowed: false,
        }
    }

    const fn or_zero(self) -> Self {
        Self { is_zero_allowed: true, ..self }
    }

    /// Milliseconds that `text` says. Errors: what is wrong with it.
    pub fn check(self, text: &str) -> Result<u32, String> {
        let Some(found) = parse(text) else {
            return Err(format!("{text:?} is no duration such as 500ms, 1s or 3h"));
        };
        let is_off = self.is_zero_allowed && found.is_zero();
        if !is_off && !(self.from..=self.to).contains(&found) {
            return Err(format!("{text} is not {}", self.between()));
        }
        u32::try_from(found.as_millis()).map_err(|_| format!("{text} is too long"))
    }

    fn between(self) -> String {
        let zero = if self.is_zero_allowed { "0s or " } else { "" };
        format!("{zero}between {} and {}", shown(self.from), shown(self.to))
    }

    /// Says in a schema what [`Durations::check`] checks.
    pub fn schema(self) -> impl Transform {
        move |schema: &mut Schema| {
            schema.insert("pattern".to_owned(), json!(PATTERN));
            schema.insert("maxLength".to_owned(), json!(LONGEST));
            let [from, to] =
                [self.from, self.to].map(|end| format!("duration('{}ms')", end.as_millis()));
            let is_off =
                if self.is_zero_allowed { "duration(self) == duration('0s') || " } else { "" };
            let rule = json!([{
                "rule": format!("{is_off}duration(self) >= {from} && duration(self) <= {to}"),
                "message": format!("must be {}", self.between()),
            }]);
            schema.insert("x-kubernetes-validations".to_owned(), rule);
        }
    }
}

/// Durations as the Gateway API writes them (GEP-2257): also understood by CEL and by Go.
const PATTERN: &str = "^([0-9]{1,5}(h|m|s|ms)){1,4}$";
/// Longest text that [`PATTERN`] allows: four numbers with units.
const LONGEST: usize = 28;

/// The duration that a text says, if [`PATTERN`] allows it.
pub(super) fn parse(text: &str) -> Option<Duration> {
    static FORM: OnceLock<Regex> = OnceLock::new();
    let is_one = matches(&FORM, PATTERN, text);
    is_one.then(|| humantime::parse_duration(text).ok()).flatten()
}

/// A duration as a person would write it, in the units of [`PATTERN`].
pub(super) fn shown(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    match milliseconds {
        0 => "0s".to_owned(),
        hours if hours % 3_600_000 == 0 => format!("{}h", hours / 3_600_000),
        seconds if seconds % 1_000 == 0 && seconds > 60_000 => {
            let (minutes, seconds) = (seconds / 60_000, seconds / 1_000 % 60);
            if seconds == 0 { format!("{minutes}m") } else { format!("{minutes}m{seconds}s") }
        }
        seconds if seconds % 1_000 == 0 => format!("{}s", seconds / 1_000),
        other => format!("{other}ms"),
    }
}

/// Texts of one form, of ASCII characters.
pub(super) struct Texts {
    form: &'static str,
    from: usize,
    to: usize,
    /// What a message says of any other text.
    refusal: &'static str,
    regex: OnceLock<Regex>,
}

/// Names of Services, ports and tiers: a DNS label. That of a Service may begin with a digit from
/// Kubernetes 1.34 on (`RelaxedServiceNameValidation`).
pub(super) const LABEL: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";

pub(super) static TIER_NAME: Texts = Texts::of(
    LABEL,
    (1, 63),
    "is none; use 1 to 63 lower-case letters, digits and, between them, dashes",
);
pub(super) static SERVICE_NAME: Texts = Texts::of(
    LABEL,
    (1, 63),
    "is no name of a Service; use 1 to 63 lower-case letters, digits and, between them, dashes",
);
pub(super) static PORT_NAME: Texts = Texts::of(
    LABEL,
    (1, 63),
    "is none; use the name or the number of a port, of 1 to 63 lower-case letters, digits and, \
     between them, dashes",
);
pub(super) static PATH: Texts = Texts::of(
    r"^/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*$",
    (1, 1_024),
    "is no path such as /healthz or /ready?full=1, of at most 1024 characters; write others as %20",
);
pub(super) static HOST: Texts = Texts::of(
    r"^[A-Za-z0-9._:\[\]-]+$",
    (1, 253),
    "is no host such as shop.example or shop.example:8080",
);
pub(super) static STATUS: Texts = Texts::of(
    "^[1-5][0-9][0-9](-[1-5][0-9][0-9])?$",
    (0, 7),
    "is no status such as 204 and no range such as 200-399",
);
pub(super) static GRPC_SERVICE: Texts = Texts::of(
    "^[!-~]*$",
    (0, 253),
    "is no service such as shop.Checkout, of at most 253 characters",
);

impl Texts {
    const fn of(form: &'static str, (from, to): (usize, usize), refusal: &'static str) -> Self {
        Self { form, from, to, refusal, regex: OnceLock::new() }
    }

    /// Errors: what is wrong with the text.
    pub fn check(&self, text: &str) -> Result<(), String> {
        let is_one =
            (self.from..=self.to).contains(&text.len()) && matches(&self.regex, self.form, text);
        if is_one { Ok(()) } else { Err(self.refuse(text)) }
    }

    /// What a message says of a text that is none of these.
    pub fn refuse(&self, text: &str) -> String {
        format!("{:?} {}", cut(text), self.refusal)
    }

    /// Says in a schema what [`Texts::check`] checks.
    pub fn schema(&'static self) -> impl Transform {
        |schema: &mut Schema| {
            schema.insert("pattern".to_owned(), json!(self.form));
            schema.insert("maxLength".to_owned(), json!(self.to));
            if self.from > 0 {
                schema.insert("minLength".to_owned(), json!(self.from));
            }
        }
    }
}

fn matches(regex: &OnceLock<Regex>, pattern: &str, text: &str) -> bool {
    let regex = regex.get_or_init(|| Regex::new(pattern).expect("patterns are valid"));
    regex.is_match(text)
}
