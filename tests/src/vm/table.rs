//! The table of instructions that each kernel's verifier processed for each program.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::Report;

/// A column per kernel, in the order in which they were added; a row per program.
#[derive(Debug, Default)]
pub struct InstructionTable {
    columns: Vec<Column>,
}

#[derive(Debug)]
struct Column {
    title: String,
    processed: BTreeMap<String, u64>,
}

impl InstructionTable {
    pub fn add(&mut self, report: &Report) {
        let title = report.release.trim_end_matches("-cloud-amd64").to_owned();
        self.columns.push(Column { title, processed: report.instructions.clone() });
    }

    /// Adds the numbers of the kernel that this runs on, as `redirector load --verifier-stats`
    /// prints them: a program and its number on each line.
    pub fn add_this_kernel(&mut self, printed: &str) {
        let line = |line: &str| -> Option<(String, u64)> {
            let (program, processed) = line.split_once(' ')?;
            Some((program.to_owned(), processed.parse().ok()?))
        };
        let title = "this one".to_owned();
        self.columns.push(Column { title, processed: printed.lines().filter_map(line).collect() });
    }

    /// `<kernel> <program>` for each of `programs` that a kernel said nothing about; all of them
    /// without any kernel.
    pub fn missing(&self, programs: &[&str]) -> Vec<String> {
        if self.columns.is_empty() {
            return programs.iter().map(|program| format!("any kernel {program}")).collect();
        }
        let absent = |column: &Column| {
            let absent =
                programs.iter().filter(|program| !column.processed.contains_key(**program));
            absent.map(|program| format!("{} {program}", column.title)).collect::<Vec<_>>()
        };
        self.columns.iter().flat_map(absent).collect()
    }

    /// `<kernel> <program>: <instructions>` for each program above `limit`.
    pub fn above(&self, limit: u64) -> Vec<String> {
        let excess = |column: &Column| {
            let excess = column.processed.iter().filter(|(_, processed)| **processed > limit);
            excess
                .map(|(program, processed)| format!("{} {program}: {processed}", column.title))
                .collect::<Vec<_>>()
        };
        self.columns.iter().flat_map(excess).collect()
    }
}

impl fmt::Display for InstructionTable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let programs: BTreeSet<_> =
            self.columns.iter().flat_map(|column| column.processed.keys()).collect();
        let title = "instructions processed";
        let width = programs.iter().map(|name| name.len()).max().unwrap_or(0).max(title.len());
        write!(out, "{title:<width$}")?;
        for Column { title, .. } in &self.columns {
            write!(out, "  {title:>9}")?;
        }
        writeln!(out)?;
        for program in programs {
            write!(out, "{program:<width$}")?;
            for Column { title, processed } in &self.columns {
                let cell = processed.get(program).map_or_else(|| "-".to_owned(), u64::to_string);
                write!(out, "  {cell:>0$}", title.len().max(9))?;
            }
            writeln!(out)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_rows_and_kernels_are_columns() {
        let table = table();

        assert_eq!(
            table.to_string(),
            "instructions processed  5.10.0-46  7.2.13+deb14\n\
             connect4                     5069          6123\n\
             recvmsg4                        -           210\n"
        );
    }

    #[test]
    fn what_is_missing_or_too_large_is_named_with_its_kernel() {
        let table = table();

        assert_eq!(table.missing(&["connect4", "recvmsg4"]), ["5.10.0-46 recvmsg4"]);
        assert_eq!(table.above(6000), ["7.2.13+deb14 connect4: 6123"]);
        assert_eq!(InstructionTable::default().missing(&["connect4"]), ["any kernel connect4"]);
    }

    fn table() -> InstructionTable {
        let mut table = InstructionTable::default();
        for (release, processed) in [
            ("5.10.0-46-cloud-amd64", &[("connect4", 5069)][..]),
            ("7.2.13+deb14-cloud-amd64", &[("connect4", 6123), ("recvmsg4", 210)]),
        ] {
            table.add(&Report {
                release: release.into(),
                instructions: processed.iter().map(|(name, n)| ((*name).into(), *n)).collect(),
                checks: Vec::new(),
                findings: Vec::new(),
                steps: Vec::new(),
                seconds: 1.0,
            });
        }
        table
    }
}
