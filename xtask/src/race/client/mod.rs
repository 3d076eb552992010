//! A client of the race: a process on a contender's node that makes attempts until its input ends,
//! and then reports them all.
//!
//! What that process does is in `part`, what the race does with it in `process`.

mod held;
mod part;
mod process;

use std::{fmt, str::FromStr};

use anyhow::{Context as _, Result, bail};

pub(super) use held::Held;
pub(super) use part::play;
pub(super) use process::{Client, Report};

/// How a client makes attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Load {
    /// So many a second, each at its own time, whatever became of the others.
    Open(u32),
    /// One at a time, with a pause after each.
    Serial,
    /// So many at a time, without a pause.
    Closed(u32),
    /// So many connections, each kept as long as it lives.
    Held(u32),
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(rate) => write!(f, "open:{rate}"),
            Self::Serial => write!(f, "serial:1"),
            Self::Closed(count) => write!(f, "closed:{count}"),
            Self::Held(count) => write!(f, "held:{count}"),
        }
    }
}

impl FromStr for Load {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (kind, count) = text.split_once(':').context("a load is KIND:COUNT")?;
        let count = count.parse().with_context(|| format!("no count of a load: {count}"))?;
        Ok(match kind {
            "open" => Self::Open(count),
            "serial" => Self::Serial,
            "closed" => Self::Closed(count),
            "held" => Self::Held(count),
            _ => bail!("there is no load {kind}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_read_as_it_is_written() {
        for load in [Load::Open(100), Load::Serial, Load::Closed(8), Load::Held(12)] {
            assert_eq!(load.to_string().parse::<Load>().expect("a load"), load);
        }
        assert!("rush:3".parse::<Load>().is_err());
    }
}
