//! Which policy holds for which service, and what is to be said about it. Pure.

mod condition;

pub use condition::{Condition, ConditionKind, PolicyStatus};
