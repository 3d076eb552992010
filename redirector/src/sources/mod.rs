//! Where news comes from. Each source is a task that sends [`Input`](redirector_core::Input)s.
//!
//! No source knows another, and none knows what the core makes of its news.

#[cfg(test)]
mod addresses;
pub mod file;
pub mod kube;
pub mod prober;
