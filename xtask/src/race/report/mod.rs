//! What the race came to: tables in Markdown, a chart, and both in the documentation.

mod cells;
mod chart;
mod course;
mod page;
mod results;
mod tables;

pub(super) use chart::svg;
pub(super) use page::write_into;
pub(super) use results::Results;
pub(super) use tables::markdown;
