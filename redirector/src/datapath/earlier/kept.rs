//! The frontends as the layout before this one has them: what its programs would find if they were
//! attached again.

use std::os::fd::AsFd as _;

use anyhow::Result;
use redirector_core::service::Frontend;
use tracing::warn;

use super::{EARLIER, KEPT, is_shared};
use crate::datapath::{frontends::Frontends, open_fd, pins::Pins, sys};

/// The maps, opened.
#[derive(Debug)]
pub(in crate::datapath) struct Kept {
    frontends: Frontends,
    /// Something could not be written: the way back begins with tables that are not whole.
    is_behind: bool,
}

impl Kept {
    /// Nothing where there was no earlier layout.
    pub(in crate::datapath) fn open(pins: &Pins) -> Result<Option<Self>> {
        let earlier = pins.of_layout(EARLIER);
        let is_there = || {
            let mut maps = KEPT.iter().map(|name| open_fd(&earlier, name));
            maps.all(|map| map.is_ok_and(|map| sys::map_id(map.as_fd()).is_ok()))
        };
        if !is_there() || !is_shared(pins) {
            return Ok(None);
        }
        Ok(Some(Self { frontends: Frontends::open(&earlier)?, is_behind: false }))
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

    /// This layout does not depend on it: no reason to stop.
    fn note(&mut self, done: Result<()>) {
        if let Err(error) = done
            && !std::mem::replace(&mut self.is_behind, true)
        {
            warn!(
                error = format!("{error:#}"),
                layout = EARLIER,
                "the way back to the earlier layout is not kept"
            );
        }
    }
}
