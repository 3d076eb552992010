//! What is kept of API objects. Nothing else of this crate knows their fields.

mod policy;

use std::{fmt, sync::Arc};

pub use policy::FailoverPolicy;

/// Which object of its kind; the namespace of one that has none is empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// `metadata.namespace`.
    pub namespace: Arc<str>,
    /// `metadata.name`.
    pub name: Arc<str>,
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            return f.write_str(&self.name);
        }
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What a watch keeps of the objects of one kind.
pub trait Object: Clone + fmt::Debug + Send + Sync + 'static {
    /// Where they are listed, of all namespaces: `/api/v1/services`.
    const PATH: &'static str;
    /// For people: `Service`.
    const KIND: &'static str;

    /// Reads one.
    ///
    /// # Errors
    ///
    /// Why it is none, for people.
    fn decode(json: &[u8]) -> Result<Self, String>;

    /// Which one it is.
    fn object(&self) -> &ObjectRef;
}

/// One change of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<T> {
    /// Added, or another version.
    Put(T),
    /// Gone.
    Remove(ObjectRef),
    /// A version that cannot be read: the last good one stays in force.
    Rejected {
        /// Which object.
        object: ObjectRef,
        /// Why.
        why: String,
    },
}

/// What a watch has to say at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch<T> {
    /// In order; of one object at most one in a complete list.
    pub changes: Vec<Change<T>>,
    /// After these everything that there is has been said. Always so after the first batch.
    pub is_synced: bool,
}
