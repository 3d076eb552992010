//! What an order came to, as the control socket tells it.

use redirector_core::input::Verb;
use serde::{Deserialize, Serialize};

/// An order that was carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CarriedOut {
    /// Which order it is: of a service with several ports one for each.
    pub order: Verb,
    /// What that means on this node.
    pub effect: Effect,
}

/// What an order means on this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Effect {
    /// No source has said yet what there is; or an agent before this one was asked.
    Unknown,
    /// These get no new connections.
    Drained {
        /// It was in force before.
        was_in_force: bool,
        /// Backends of what the order names.
        backends: usize,
        /// Services that list them.
        services: usize,
    },
    /// These get new connections again.
    Undrained {
        /// Backends of what the order names.
        backends: usize,
        /// Services that list them.
        services: usize,
        /// Those backends that stay drained, by another order.
        still_drained: usize,
    },
    /// All new connections go to the tier while one of its backends is healthy.
    Forced {
        /// Backends of the tier that are healthy.
        healthy: u32,
        /// All backends of the tier.
        backends: u32,
    },
    /// Tiers get what health and policy say.
    FailedBack {
        /// Something was forced or held back.
        had_any: bool,
    },
}

impl std::fmt::Display for Effect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("in force")?;
        let those = |backends: usize, services: usize| {
            format!("{} of {}", count(backends, "backend"), count(services, "service"))
        };
        match *self {
            Self::Unknown => f.write_str("; what it touches is not known yet"),
            Self::Drained { was_in_force, backends, services } => {
                let before = if was_in_force { " as before" } else { "" };
                write!(f, "{before}; no new connections to {}", those(backends, services))
            }
            Self::Undrained { backends, services, still_drained } => {
                write!(f, "; new connections again to {}", those(backends, services))?;
                match still_drained {
                    0 => Ok(()),
                    still => write!(f, ", but {still} of them stay drained by another order"),
                }
            }
            Self::Forced { healthy: 0, backends: 0 } => {
                f.write_str("; but the tier has no backend, and health decides until it has")
            }
            Self::Forced { healthy: 0, backends } => {
                let backends = count(backends as usize, "backend");
                write!(
                    f,
                    "; but none of its {backends} is healthy, and health decides until one is"
                )
            }
            Self::Forced { healthy, backends } => {
                write!(f, "; all new connections to its {healthy} healthy of ")?;
                f.write_str(&count(backends as usize, "backend"))
            }
            Self::FailedBack { had_any: true } => f.write_str("; health and policy decide"),
            Self::FailedBack { had_any: false } => f.write_str("; nothing was forced or held back"),
        }
    }
}

fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_effect_says_what_it_touches() {
        for (effect, said) in [
            (Effect::Unknown, "in force; what it touches is not known yet"),
            (
                Effect::Drained { was_in_force: false, backends: 1, services: 2 },
                "in force; no new connections to 1 backend of 2 services",
            ),
            (
                Effect::Drained { was_in_force: true, backends: 2, services: 1 },
                "in force as before; no new connections to 2 backends of 1 service",
            ),
            (
                Effect::Undrained { backends: 3, services: 1, still_drained: 1 },
                "in force; new connections again to 3 backends of 1 service, but 1 of them stay \
                 drained by another order",
            ),
            (
                Effect::Forced { healthy: 0, backends: 2 },
                "in force; but none of its 2 backends is healthy, and health decides until one is",
            ),
            (
                Effect::Forced { healthy: 1, backends: 2 },
                "in force; all new connections to its 1 healthy of 2 backends",
            ),
            (Effect::FailedBack { had_any: false }, "in force; nothing was forced or held back"),
        ] {
            assert_eq!(effect.to_string(), said);
        }
    }
}
