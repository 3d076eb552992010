//! Which backends run on this node: of these alone the kernel believes that their listener is gone.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use redirector_core::{
    service::{BackendRef, Locality, Protocol, ServiceRef},
    tables::Scope,
};

use super::Agent;

/// Backends of this node by service, and their indices as the kernel has them.
#[derive(Debug, Default)]
pub(super) struct Local {
    /// Where this agent was when they were found.
    node: Locality,
    listed: BTreeMap<ServiceRef, BTreeSet<BackendRef>>,
    /// `None` until the kernel has been told.
    told: Option<BTreeSet<(u32, u32)>>,
}

impl Agent {
    /// Backends of a service on this node whose end the kernel would not see at once: it has accepted
    /// no connection to them yet, so that it does not know who serves them.
    pub(super) fn unserved(&self, service: &ServiceRef) -> impl Iterator<Item = BackendRef> {
        let listed = self.local.listed.get(service).into_iter().flatten().copied();
        listed.filter(|backend| {
            let index = self.installed.backend(backend);
            backend.protocol == Protocol::Tcp
                && index.is_some_and(|(index, _)| !self.datapath.is_served(index))
        })
    }

    /// Tells the kernel which backends are this node's, if that has changed with these services.
    /// Until all of them are known what an earlier agent said holds.
    pub(super) fn tell_local(&mut self, changed: &Scope) -> Result<()> {
        if !self.state.is_synced() {
            return Ok(());
        }
        let has_moved = self.local.node != *self.state.node();
        match changed {
            Scope::Only(names) if self.local.told.is_some() && !has_moved => {
                for name in names {
                    let found: BTreeSet<_> = self.state.local_backends(name).collect();
                    if found.is_empty() {
                        self.local.listed.remove(name);
                    } else {
                        self.local.listed.insert(name.clone(), found);
                    }
                }
            }
            Scope::Only(_) | Scope::All => {
                let names = self.state.services().map(|service| &service.name);
                let found = names.map(|name| (name, self.state.local_backends(name).collect()));
                let found = found.filter(|(_, found): &(_, BTreeSet<_>)| !found.is_empty());
                self.local.listed = found.map(|(name, found)| (name.clone(), found)).collect();
                self.local.node = self.state.node().clone();
            }
        }
        let listed = self.local.listed.values().flatten();
        let told = listed.filter_map(|backend| self.installed.backend(backend)).collect();
        if self.local.told.as_ref() == Some(&told) {
            return Ok(());
        }
        let indices = told.iter().map(|(index, _)| *index).collect();
        self.datapath.set_local(&indices).context("cannot say which backends are this node's")?;
        self.local.told = Some(told);
        Ok(())
    }
}
