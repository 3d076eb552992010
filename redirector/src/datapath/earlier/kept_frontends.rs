//! The frontends as the layout before this one has them: what its programs would find if they were
//! attached again.

use std::collections::BTreeMap;

use anyhow::Result;
use redirector_core::service::Frontend;
use tracing::warn;

use super::{EARLIER, KEPT, is_shared};
use crate::datapath::{frontends::Frontends, pins::Pins};

/// The maps, opened.
#[derive(Debug)]
pub(in crate::datapath) struct KeptFrontends {
    frontends: Frontends,
    /// Something could not be written: the way back begins with tables that are not whole.
    is_behind: bool,
}

impl KeptFrontends {
    /// Opens the maps; `None` where there was no earlier layout.
    pub(in crate::datapath) fn open(pins: &Pins) -> Option<Self> {
        let earlier = pins.of_layout(EARLIER);
        if !is_shared(pins) || !KEPT.iter().all(|name| earlier.map(name).exists()) {
            return None;
        }
        match Frontends::open(&earlier) {
            Ok(frontends) => Some(Self { frontends, is_behind: false }),
            Err(error) => {
                warn_of_loss(&error);
                None
            }
        }
    }

    /// Makes the maps hold these: an earlier agent may have stopped between the two layouts.
    pub(in crate::datapath) fn reconcile(&mut self, frontends: &[(Frontend, u32)]) {
        let done = self.try_reconcile(frontends);
        self.note(done);
    }

    fn try_reconcile(&mut self, frontends: &[(Frontend, u32)]) -> Result<()> {
        let wanted: BTreeMap<_, _> = frontends.iter().copied().collect();
        let found: BTreeMap<_, _> = self.frontends.list()?.into_iter().collect();
        let is_right = |frontend: &Frontend, index: &u32| wanted.get(frontend) == Some(index);
        for (frontend, _) in found.iter().filter(|(frontend, index)| !is_right(frontend, index)) {
            self.frontends.remove(frontend)?;
        }
        for (frontend, index) in &wanted {
            if found.get(frontend) != Some(index) {
                self.frontends.insert(frontend, *index)?;
            }
        }
        Ok(())
    }

    pub(in crate::datapath) fn insert(&mut self, frontend: &Frontend, index: u32) {
        let done = self.frontends.remove(frontend);
        let done = done.and_then(|()| self.frontends.insert(frontend, index));
        self.note(done);
    }

    pub(in crate::datapath) fn remove(&mut self, frontend: &Frontend) {
        let done = self.frontends.remove(frontend);
        self.note(done);
    }

    /// Warns once if the maps could not be written: this layout does not depend on them.
    fn note(&mut self, done: Result<()>) {
        if let Err(error) = done
            && !std::mem::replace(&mut self.is_behind, true)
        {
            warn_of_loss(&error);
        }
    }
}

fn warn_of_loss(error: &anyhow::Error) {
    let error = format!("{error:#}");
    warn!(error, layout = EARLIER, "the frontends are not kept for the way back");
}
