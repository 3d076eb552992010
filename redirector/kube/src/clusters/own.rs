//! Which id the own cluster has, of the two places that may say it.

use std::sync::Arc;

/// The id of the own cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OwnId {
    /// Neither a ClusterProperty nor a flag says it.
    #[default]
    Unknown,
    /// What a ClusterProperty says, or else a flag.
    Is(Arc<str>),
    /// Both say something, and not the same.
    Differ {
        /// What the ClusterProperty `cluster.clusterset.k8s.io` says.
        property: Arc<str>,
        /// What `--cluster` says.
        flag: Arc<str>,
    },
}

impl OwnId {
    /// What follows from what a ClusterProperty and a flag say.
    #[must_use]
    pub fn of(property: Option<Arc<str>>, flag: Option<Arc<str>>) -> Self {
        match (property, flag) {
            (Some(property), Some(flag)) if property != flag => Self::Differ { property, flag },
            (Some(id), _) | (None, Some(id)) => Self::Is(id),
            (None, None) => Self::Unknown,
        }
    }

    /// The id, if there is one.
    #[must_use]
    pub fn id(&self) -> Option<&Arc<str>> {
        if let Self::Is(id) = self { Some(id) } else { None }
    }
}
