//! Names of services and places: which are allowed, and one copy of each.

use std::{collections::HashSet, fmt, sync::Arc};

use super::{problems::Problems, tree::Text};

/// Longest name in bytes: that of a DNS name, as Kubernetes' names are.
const LONGEST: usize = 253;

/// Every name once: a million backends share a handful of zones.
#[derive(Default)]
pub(super) struct Names(HashSet<Arc<str>>);

impl Names {
    /// The name in `text`; `what` begins the message if it is none.
    pub fn name(
        &mut self,
        text: Text<'_>,
        what: impl fmt::Display,
        problems: &mut Problems,
    ) -> Option<Arc<str>> {
        let name = text.value;
        if let Some(known) = self.0.get(name) {
            return Some(Arc::clone(known));
        }
        if let Some(why) = objection(name) {
            problems.add(text.position, format_args!("{what} {why}"));
            return None;
        }
        let name = Arc::from(name);
        self.0.insert(Arc::clone(&name));
        Some(name)
    }
}

/// Why a text is no name.
pub(super) fn objection(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("is empty; give it a name or leave it out".to_owned());
    }
    if name.len() > LONGEST {
        return Some(format!("is {} bytes long; at most {LONGEST} are allowed", name.len()));
    }
    let odd = name.chars().find(|found| found.is_whitespace() || found.is_control())?;
    Some(format!("contains {odd:?}; names have no spaces or control characters"))
}
