//! Which stores bring the kernel from what is installed to what is desired, in a safe order.
//!
//! Make before break: what is pointed at is written first and removed last; nothing is written
//! again before a grace period has passed.

mod adopt;
mod alias;
mod arena;
mod changes;
mod installed;
mod limit;
mod order;
mod pass;
mod place;
mod pool;
mod regions;
mod render;
mod resolve;
mod step;
mod vetoes;

pub use adopt::Snapshot;
pub use installed::{Capacities, Installed, Usage};
pub use limit::Limit;
pub use step::{Plan, Step};

use self::{pass::pass, vetoes::VetoSteps};
use crate::tables::{Scope, Tables};

/// What one pass frees, the next may use: so often a plan tries to make room for what does not
/// fit at once.
const PASSES: usize = 8;

/// The steps from `installed` to `desired`; `installed` becomes what is there once they are all
/// applied. Where applying fails, throw `installed` away and [adopt](Installed::adopt) again.
pub fn plan(installed: &mut Installed, desired: &Tables) -> Plan {
    plan_scope(installed, desired, Scope::All)
}

/// As [`plan`], where it is known which services may have changed since the last one.
pub fn plan_scope(installed: &mut Installed, desired: &Tables, scope: Scope) -> Plan {
    let mut scope = match scope {
        Scope::Only(mut names) if installed.is_swept && desired.synced => {
            names.append(&mut installed.pending);
            Scope::Only(names)
        }
        _ => Scope::All,
    };
    let mut plan = Plan::default();
    let mut vetoes = VetoSteps::default();
    for _ in 0..PASSES {
        let outcome = pass(installed, desired, &scope, &mut vetoes, &mut plan.steps);
        plan.rejected = outcome.rejected;
        if plan.rejected.is_empty() || !outcome.has_freed {
            break;
        }
        scope = Scope::Only(plan.rejected.iter().map(|(name, _)| name.clone()).collect());
    }
    plan.steps.append(&mut vetoes.late);
    installed.pending = plan.rejected.iter().map(|(name, _)| name.clone()).collect();
    plan
}
