//! One copy of each name: 150,000 endpoints share a few zones and some thousand nodes.

use std::{collections::BTreeSet, sync::Arc};

/// Least number of names before unused ones are looked for.
const FEW: usize = 1_024;

/// Names that are in use somewhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    known: BTreeSet<Arc<str>>,
    /// How many there may be before unused ones are looked for.
    limit: usize,
}

impl Names {
    /// The copy of a name.
    pub fn name(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.known.get(name) {
            return Arc::clone(known);
        }
        self.keep(name.into())
    }

    /// The copy of a name that may become it.
    pub fn share(&mut self, name: &mut Arc<str>) {
        *name = match self.known.get(name) {
            Some(known) => Arc::clone(known),
            None => self.keep(Arc::clone(name)),
        };
    }

    fn keep(&mut self, name: Arc<str>) -> Arc<str> {
        if self.known.len() >= self.limit {
            self.known.retain(|known| Arc::strong_count(known) > 1);
            self.limit = FEW.max(self.known.len() * 2);
        }
        self.known.insert(Arc::clone(&name));
        name
    }
}
