//! What was promised, and whether it was kept.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
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

/// Between these the page has the table, after the kernel's version.
const BEGIN: &str = "<!-- begin: cargo xtask bench --docs -->\n";
const END: &str = "<!-- end -->\n";

/// Writes them into a page, in place of those that it has.
pub fn write(goals: &[Goal], kernel: &str, page: &Path) -> Result<()> {
    let text = fs::read_to_string(page).with_context(|| format!("no {}", page.display()))?;
    let (before, rest) =
        text.split_once(BEGIN).context("the page does not say where they begin")?;
    let (_, after) = rest.split_once(END).context("the page does not say where they end")?;
    let rows = goals.iter().map(|Goal { what, measured, at_most, is_met, remark }| {
        let (measured, at_most) = (number(*measured), number(*at_most));
        match (is_met, remark.as_str()) {
            (true, remark) => format!("| {what} | {measured} | {at_most} | {remark} |\n"),
            (false, "") => format!("| {what} | **{measured}** | {at_most} | missed |\n"),
            (false, remark) => {
                format!("| {what} | **{measured}** | {at_most} | missed; {remark} |\n")
            }
        }
    });
    let rows: String = rows.collect();
    let head = format!("Linux {kernel}:\n\n| | measured | at most | |\n|---|---|---|---|\n");
    fs::write(page, format!("{before}{BEGIN}{head}{rows}{END}{after}"))
        .with_context(|| format!("cannot write {}", page.display()))
}

fn number(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.3}") }
}
