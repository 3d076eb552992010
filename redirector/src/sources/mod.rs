//! Where news comes from. Each source is a task that sends [`Input`](redirector_core::Input)s.
//!
//! No source knows another, and none knows what the core makes of its news.

#[cfg(test)]
mod addresses_tests;
pub mod file;
pub mod kube;
pub mod prober;

use std::{
    collections::BTreeMap,
    sync::{Arc, RwLock},
};

/// What is not in the kernel as the source has it, and why.
#[derive(Clone, Debug, Default)]
pub struct Shortfall {
    /// Services that are left to kube-proxy though they are asked for.
    pub services: BTreeMap<String, String>,
    /// Services whose newest version cannot be read; the one before holds.
    pub newest: BTreeMap<String, String>,
    /// The file whose newest version is refused as a whole; the one before holds.
    pub file: Option<(String, String)>,
}

/// Characters of a foreign text that a message shows.
const SHOWN: usize = 80;

/// A text that a tenant chose, on one line and not too long for a message.
fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

/// Kept up to date by the source.
pub type Left = Arc<RwLock<Shortfall>>;
