//! Tables of numbers, for people and as JSON.

use std::io::{self, Write as _};

use anyhow::{Context as _, Result};
use serde::Serialize;

/// One table.
#[derive(Debug, Clone, Serialize)]
pub struct Table {
    pub title: String,
    /// What has been done, in a sentence or two.
    pub about: String,
    pub columns: Vec<(&'static str, Unit)>,
    pub rows: Vec<Row>,
}

/// One contender.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub name: String,
    /// One per column; none where it does not apply.
    pub values: Vec<Option<f64>>,
}

/// How a number is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    Nanoseconds,
    Microseconds,
    Milliseconds,
    Megabytes,
    Ratio,
}

impl Table {
    pub fn new(
        title: impl Into<String>,
        about: impl Into<String>,
        columns: &[(&'static str, Unit)],
    ) -> Self {
        let (title, about) = (title.into(), about.into());
        Self { title, about, columns: columns.to_vec(), rows: Vec::new() }
    }

    pub fn row(&mut self, name: impl Into<String>, values: &[Option<f64>]) {
        self.rows.push(Row { name: name.into(), values: values.to_vec() });
    }

    pub fn print(&self) -> Result<()> {
        const NAME: usize = 38;
        const COLUMN: usize = 14;
        let mut text = format!("\n{}\n", self.title);
        for line in &self.about.lines().collect::<Vec<_>>() {
            text += &format!("  {line}\n");
        }
        text += &format!("  {:NAME$}", "");
        for (name, _) in &self.columns {
            text += &format!("{name:>COLUMN$}");
        }
        for row in &self.rows {
            text += &format!("\n  {:NAME$}", row.name);
            for ((_, unit), value) in self.columns.iter().zip(&row.values) {
                let cell = value.map_or_else(|| "-".to_owned(), |value| unit.text(value));
                text += &format!("{cell:>COLUMN$}");
            }
        }
        print_line(&text)
    }
}

impl Unit {
    pub fn text(self, value: f64) -> String {
        let digits = if value >= 100.0 {
            0
        } else if value >= 10.0 {
            1
        } else {
            2
        };
        match self {
            Self::Nanoseconds => format!("{value:.digits$} ns"),
            Self::Microseconds => format!("{value:.digits$} us"),
            Self::Milliseconds => format!("{value:.digits$} ms"),
            Self::Megabytes => format!("{value:.1} MB"),
            Self::Ratio => format!("{value:.3}x"),
        }
    }
}

/// One or more lines on stdout.
pub fn print_line(text: &str) -> Result<()> {
    writeln!(io::stdout(), "{text}").context("cannot print")
}
