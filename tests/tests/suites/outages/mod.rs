//! What happens when somebody is not there: the API server, the agent, honest objects, or the
//! DaemonSet.

mod away;
mod bomb;
mod chatty;
mod daemonset;
mod fixture;
mod forbidden;
mod healed;
mod operated;
mod real;
mod remembered;
mod stale;
