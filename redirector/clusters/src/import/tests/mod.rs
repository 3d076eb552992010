//! The importer against models: of exporters and their outboxes, and of the API server here.

pub(super) mod exporter;
mod here;

mod conformance;
mod never_empty;
mod objects;
mod phases;
mod refusals;
mod restart;
mod simulation;

use std::time::Duration;

use redirector_core::Moment;

pub(super) fn at(millis: u64) -> Moment {
    Moment(Duration::from_millis(millis))
}
