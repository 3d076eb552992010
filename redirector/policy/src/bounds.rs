//! What numbers and durations a policy may hold: one place for the schema and for the validation.

use std::time::Duration;

use schemars::{Schema, transform::Transform};
use serde_json::json;

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
}

pub(super) const CONNECT_TIMEOUT: Durations = Durations::of(300, 60_000);
pub(super) const HOLD_DOWN: Durations = Durations::of(0, 3_600_000);
pub(super) const RAMP: Durations = Durations::of(0, 3_600_000);
pub(super) const BASE_EJECTION: Durations = Durations::of(1_000, 3_600_000);
pub(super) const MAX_EJECTION: Durations = Durations::of(1_000, 86_400_000);
pub(super) const INTERVAL: Durations = Durations::of(100, 3_600_000);
pub(super) const TIMEOUT: Durations = Durations::of(10, 60_000);

impl Durations {
    const fn of(from_ms: u64, to_ms: u64) -> Self {
        Self { from: Duration::from_millis(from_ms), to: Duration::from_millis(to_ms) }
    }

    /// Milliseconds that `text` says. Errors: what is wrong with it.
    pub fn check(self, text: &str) -> Result<u32, String> {
        let Some(found) = parse(text) else {
            return Err(format!("{text:?} is no duration such as 500ms, 1s or 3h"));
        };
        if !(self.from..=self.to).contains(&found) {
            return Err(format!("{text} is not {}", self.between()));
        }
        u32::try_from(found.as_millis()).map_err(|_| format!("{text} is too long"))
    }

    fn between(self) -> String {
        format!("between {} and {}", shown(self.from), shown(self.to))
    }

    /// Says in a schema what [`Durations::check`] checks.
    pub fn schema(self) -> impl Transform {
        move |schema: &mut Schema| {
            schema.insert("pattern".to_owned(), json!(PATTERN));
            schema.insert("maxLength".to_owned(), json!(LONGEST));
            let [from, to] =
                [self.from, self.to].map(|end| format!("duration('{}ms')", end.as_millis()));
            let rule = json!([{
                "rule": format!("duration(self) >= {from} && duration(self) <= {to}"),
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
fn parse(text: &str) -> Option<Duration> {
    let (mut rest, mut sum) = (text, Duration::ZERO);
    for _ in 0..4 {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if !(1..=5).contains(&digits) {
            return None;
        }
        let (number, after) = rest.split_at(digits);
        let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = after.split_at(letters);
        let milliseconds = match unit {
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1_000,
            "ms" => 1,
            _ => return None,
        };
        sum += Duration::from_millis(number.parse::<u64>().ok()? * milliseconds);
        rest = after;
        if rest.is_empty() {
            return Some(sum);
        }
    }
    None
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_the_gateway_api() {
        for (text, milliseconds) in [
            ("0s", 0),
            ("500ms", 500),
            ("1s", 1_000),
            ("90s", 90_000),
            ("1m", 60_000),
            ("1h30m", 5_400_000),
            ("1h1m1s1ms", 3_661_001),
            ("00001s", 1_000),
            ("1s1s", 2_000),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in [
            "",
            "1",
            "s",
            "1d",
            "1.5s",
            "-1s",
            "+1s",
            " 1s",
            "1s ",
            "1 s",
            "1S",
            "1us",
            "123456s",
            "1s1s1s1s1s",
            "١s",
            "1h-1m",
            "1day",
            "1min",
            "∞",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn both_ends_are_allowed_and_shown_as_they_are_written() {
        assert_eq!(CONNECT_TIMEOUT.check("300ms"), Ok(300));
        assert_eq!(CONNECT_TIMEOUT.check("60s"), Ok(60_000));
        assert_eq!(CONNECT_TIMEOUT.check("1m"), Ok(60_000));
        assert_eq!(
            CONNECT_TIMEOUT.check("299ms"),
            Err("299ms is not between 300ms and 60s".to_owned())
        );
        assert_eq!(MAX_EJECTION.check("24h"), Ok(86_400_000));
        assert_eq!(
            MAX_EJECTION.check("24h1ms"),
            Err("24h1ms is not between 1s and 24h".to_owned())
        );
        assert_eq!(HOLD_DOWN.check("0s"), Ok(0));
        for (milliseconds, text) in
            [(0, "0s"), (300, "300ms"), (60_000, "60s"), (90_000, "1m30s"), (3_600_000, "1h")]
        {
            assert_eq!(shown(Duration::from_millis(milliseconds)), text);
        }
    }
}
