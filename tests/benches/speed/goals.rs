//! What was promised, and whether it was kept.

use anyhow::Result;
use serde::Serialize;

use crate::report::print_line;

/// A number that must not be above a limit.
#[derive(Debug, Clone, Serialize)]
pub struct Goal {
    pub what: &'static str,
    pub measured: f64,
    pub at_most: f64,
    pub is_met: bool,
    pub remark: String,
}

impl Goal {
    pub fn at_most(what: &'static str, measured: f64, at_most: f64) -> Self {
        Self { what, measured, at_most, is_met: measured <= at_most, remark: String::new() }
    }

    pub fn remark(self, remark: String) -> Self {
        Self { remark, ..self }
    }
}

/// Prints them. Whether all are met.
pub fn print(goals: &[Goal]) -> Result<bool> {
    let mut text = format!("\n{:<54}{:>10}{:>10}\n", "Goals", "measured", "at most");
    for Goal { what, measured, at_most, is_met, remark } in goals {
        let verdict = if *is_met {
            "met".to_owned()
        } else {
            format!("MISSED by {:.1} %", (measured / at_most - 1.0) * 100.0)
        };
        let remark = if remark.is_empty() { String::new() } else { format!("  ({remark})") };
        let (measured, at_most) = (number(*measured), number(*at_most));
        text += &format!("  {what:<52}{measured:>10}{at_most:>10}  {verdict}{remark}\n");
    }
    print_line(text.trim_end())?;
    Ok(goals.iter().all(|goal| goal.is_met))
}

fn number(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.3}") }
}
