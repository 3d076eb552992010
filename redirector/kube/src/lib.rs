//! The Kubernetes source: what the API server says, as news for the core, and what is said back.
//!
//! [`watch`] hears it, [`api`] decodes it, [`index`] makes [`Input`](redirector_core::Input)s of it
//! with kube-proxy's rules, [`policies`] knows which policy holds for which service, [`clusters`] which
//! other clusters may be used, [`report`]
//! writes status and events. Only [`watch`], [`client`] and [`report`] do I/O; only [`api`] knows
//! the fields of API objects.

pub mod api;
pub mod client;
pub mod clusters;
pub mod index;
pub mod policies;
pub mod report;
mod text;
pub mod watch;
