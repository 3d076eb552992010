//! What is known of another cluster as a whole.

use std::sync::Arc;

/// Another cluster that this one has been told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteCluster {
    /// Its id, as [`Locality::cluster`](crate::locality::Locality::cluster) has it.
    pub name: Arc<str>,
    /// Whether it is heard.
    pub phase: ClusterPhase,
    /// What becomes of its backends while it is not.
    pub on_silence: OnSilence,
}

/// Whether a cluster is heard. One without an importer is [`Live`](Self::Live).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClusterPhase {
    /// It is: its backends are innocent until proven dead.
    #[default]
    Live,
    /// It is not, since this was first said: its backends are guilty until proven alive.
    Silent,
    /// It has not been for so long that nothing known of it holds, or it is about to be removed.
    Lost,
}

/// What becomes of the backends of a silent cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum OnSilence {
    /// Those that answer are kept.
    #[default]
    KeepReachable,
    /// None is.
    Drop,
}
