//! What deploy/ installs: rendered as users do it, decoded strictly, and held against the binary.

mod admission;
mod arguments;
mod chart;
mod clusters;
mod documents;
mod kinds;
mod nodes;
mod pair;
mod policies;
mod pressure;
mod rbac;
mod remains;
mod removal;
pub(crate) mod render;
mod security;
mod strict;
