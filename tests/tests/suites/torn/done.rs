//! Counts what a writer has done.

use std::fmt;

use redirector_core::plan::Step;

/// What a writer has done.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Done {
    /// Plans applied.
    pub(crate) plans: u64,
    steps: u64,
    published: u64,
    ejected: u64,
    inserted: u64,
    barriers: u64,
    /// How often it has started anew.
    pub(crate) lives: u64,
}

impl Done {
    /// After a plan.
    pub(crate) fn count(&mut self, steps: &[Step]) {
        self.plans += 1;
        self.steps += steps.len() as u64;
        for step in steps {
            match step {
                Step::Publish { .. } => self.published += 1,
                Step::SetHealth { .. } => self.ejected += 1,
                Step::InsertFrontend { .. } => self.inserted += 1,
                Step::Barrier => self.barriers += 1,
                _ => {}
            }
        }
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plans, steps, published, ejected, inserted, barriers, lives } = self;
        write!(
            f,
            "{plans} plans of {lives} lives: {steps} steps, among them {published} tables \
             published, {ejected} health bytes stored, {inserted} frontends inserted, {barriers} \
             grace periods"
        )
    }
}
