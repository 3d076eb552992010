//! Other clusters: what this one exports into its outbox, and what it imports of others' outboxes.
//!
//! [`api`] knows the objects; [`export`] and [`import`] are pure: objects in, desired objects out; [`mod@write`]
//! brings an API server from what it has to what is desired; [`run`] is the task that an elected replica
//! of the Deployment `redirector-clusters` runs; [`admin`] is what `redirector cluster` does for an
//! operator. Agents never talk to another cluster.

pub mod admin;
pub mod api;
pub mod export;
pub mod import;
pub mod run;
pub mod write;
