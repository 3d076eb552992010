//! Which id the own cluster has, of the three places that may say it.

use std::{fmt, sync::Arc};

/// The id of the own cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OwnId {
    /// Nothing says it.
    #[default]
    Unknown,
    /// What all say that say anything.
    Is(Arc<str>),
    /// Two say something, and not the same.
    Differ {
        /// Who says the one id.
        by: SaidBy,
        /// What it says.
        said: Arc<str>,
        /// What the other one says, which comes after it.
        other: (SaidBy, Arc<str>),
    },
}

/// Who says which id the own cluster has, in the order in which they are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaidBy {
    /// The ClusterProperty `cluster.clusterset.k8s.io`, where agents may read it.
    Property,
    /// The Deployment redirector-clusters, which may: `status.localCluster` of RemoteClusters.
    Importer,
    /// `--cluster`.
    Flag,
}

impl OwnId {
    /// What follows from what a ClusterProperty, the importer and a flag say.
    #[must_use]
    pub fn of(
        property: Option<Arc<str>>,
        importer: Option<Arc<str>>,
        flag: Option<Arc<str>>,
    ) -> Self {
        let all =
            [(SaidBy::Property, property), (SaidBy::Importer, importer), (SaidBy::Flag, flag)];
        let mut all = all.into_iter().filter_map(|(by, said)| Some((by, said?)));
        let Some((by, said)) = all.next() else { return Self::Unknown };
        match all.find(|(_, other)| *other != said) {
            Some(other) => Self::Differ { by, said, other },
            None => Self::Is(said),
        }
    }

    /// The id, if there is one.
    #[must_use]
    pub fn id(&self) -> Option<&Arc<str>> {
        if let Self::Is(id) = self { Some(id) } else { None }
    }
}

impl fmt::Display for SaidBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Property => "the ClusterProperty cluster.clusterset.k8s.io",
            Self::Importer => "the Deployment redirector-clusters (status.localCluster)",
            Self::Flag => "--cluster",
        })
    }
}
