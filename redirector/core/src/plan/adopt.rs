//! Rebuilds what is installed from the maps that another process left, whatever state they are in.

use redirector_common::{BackendValue, HealthWord, NodeWord, ServiceName, ServiceWord, Slot};

use super::installed::{Capacities, Installed};
use crate::service::Frontend;

/// Contents of the maps. Slices may be shorter or longer than the capacities.
#[derive(Clone, Debug)]
pub struct Snapshot<'m> {
    /// `FRONTENDS4` and `FRONTENDS6`.
    pub frontends: Vec<(Frontend, u32)>,
    /// `SERVICES`.
    pub words: &'m [ServiceWord],
    /// `TABLE`.
    pub arena: &'m [Slot],
    /// `HEALTH`.
    pub health: &'m [HealthWord],
    /// `BACKENDS`.
    pub backends: &'m [BackendValue],
    /// `NODES`.
    pub nodes: &'m [NodeWord],
    /// `NAMES`.
    pub names: &'m [ServiceName],
}

impl Installed {
    /// What is there. What does not check out counts as not installed.
    #[must_use]
    pub fn adopt(_capacities: Capacities, _snapshot: Snapshot<'_>) -> Self {
        todo!()
    }
}
