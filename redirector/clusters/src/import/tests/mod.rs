//! The importer against models: of exporters and their outboxes, and of the API server here.

mod exporter;
mod here;

mod never_empty;
mod objects;
mod phases;
mod refusals;

use std::time::Duration;

use redirector_core::Moment;

pub(super) fn at(millis: u64) -> Moment {
    Moment(Duration::from_millis(millis))
}
