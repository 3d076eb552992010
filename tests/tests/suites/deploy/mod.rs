//! What deploy/ installs: rendered as users do it, decoded strictly, and held against the binary.

mod admission;
mod arguments;
mod chart;
mod clusters;
mod nodes;
mod policies;
mod pressure;
mod rbac;
pub(crate) mod render;
mod security;
mod strict;
