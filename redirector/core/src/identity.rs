//! Who a node or a zone is: its name, and the cluster in which it has that name.

use std::{fmt, sync::Arc};

use crate::locality::Locality;

macro_rules! named_in_a_cluster {
    ($($(#[$doc:meta])* $name:ident),+) => { $(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name {
            /// The id of another cluster; `None` is the own one, also where that has an id.
            pub cluster: Option<Arc<str>>,
            /// Unique within the cluster; without `/`.
            pub name: Arc<str>,
        }

        impl $name {
            /// Its form in the cluster with the id `own`, which is `None` there.
            #[must_use]
            pub fn seen_from(self, own: Option<&Arc<str>>) -> Self {
                Self { cluster: self.cluster.filter(|cluster| Some(cluster) != own), ..self }
            }
        }

        impl fmt::Display for $name {
            /// `n9`, or `west/n9` in another cluster.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                if let Some(cluster) = &self.cluster {
                    write!(f, "{cluster}/")?;
                }
                f.write_str(&self.name)
            }
        }

        impl From<&str> for $name {
            /// Reads what [`Display`](fmt::Display) writes.
            fn from(text: &str) -> Self {
                match text.split_once('/') {
                    Some((cluster, name)) => {
                        Self { cluster: Some(cluster.into()), name: name.into() }
                    }
                    None => Self { cluster: None, name: text.into() },
                }
            }
        }
    )+ };
}

named_in_a_cluster!(
    /// Identity of a node: nodes of different clusters may have one name.
    NodeRef,
    /// Identity of a zone: zones of different clusters may have one name.
    ZoneRef
);

impl Locality {
    /// The cluster, if it is not the own one, whose id is `own`.
    #[must_use]
    pub fn other_cluster(&self, own: Option<&Arc<str>>) -> Option<&Arc<str>> {
        self.cluster.as_ref().filter(|cluster| Some(*cluster) != own)
    }

    /// The node, seen from a cluster of that id; `None` is unknown.
    #[must_use]
    pub fn node_ref(&self, own: Option<&Arc<str>>) -> Option<NodeRef> {
        let name = Arc::clone(self.node.as_ref()?);
        Some(NodeRef { cluster: self.other_cluster(own).cloned(), name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_cluster_has_one_form_with_and_without_an_id() {
        let home: Arc<str> = "home".into();
        for (written, own, seen) in [
            ("n9", None, "n9"),
            ("n9", Some(&home), "n9"),
            ("home/n9", Some(&home), "n9"),
            ("home/n9", None, "home/n9"),
            ("west/n9", Some(&home), "west/n9"),
        ] {
            let node = NodeRef::from(written).seen_from(own);
            assert_eq!(node.to_string(), seen, "{written} from {own:?}");
            assert_eq!(NodeRef::from(seen), node);
            let cluster = written.split_once('/').map(|(cluster, _)| cluster.into());
            let locality = Locality { node: Some("n9".into()), cluster, ..Locality::default() };
            assert_eq!(locality.node_ref(own), Some(node));
        }
    }

    #[test]
    fn a_node_without_a_name_is_none() {
        let locality = Locality { cluster: Some("west".into()), ..Locality::default() };
        assert_eq!(locality.node_ref(None), None);
    }
}
