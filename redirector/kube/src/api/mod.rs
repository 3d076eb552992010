//! What is kept of API objects. Nothing else of this crate knows their fields.

mod address;
mod cluster_property;
pub mod labels;
mod names;
mod node;
mod policy;
mod remote_cluster;
mod service;
mod slice;

use std::{fmt, sync::Arc};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use redirector_core::service::ServiceRef;
use serde::Deserialize;

pub use address::{Address, Family, Refused, Unusable};
pub use cluster_property::{cluster_id, is_cluster_id, paths as cluster_property_paths};
pub(crate) use names::Names;
pub use node::{Node, regions};
pub use policy::FailoverPolicy;
pub use remote_cluster::{Phase, RemoteCluster};
pub use service::{Service, ServiceKind, ServicePort};
pub use slice::{Endpoint, EndpointSlice, Hints, Maker, SlicePort, Source};

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

/// A port of a Service. The core calls it `namespace/name:port`, without the colon where the port has
/// no name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortRef {
    /// The Service.
    pub object: ObjectRef,
    /// The port's name; empty is none.
    pub port: Arc<str>,
}

impl PortRef {
    /// The port that the core calls so; `None` is no name of Kubernetes.
    #[must_use]
    pub fn read(service: &ServiceRef) -> Option<Self> {
        let is_label = |text: &str| {
            let is_char =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            (1..=63).contains(&text.len()) && text.bytes().all(is_char)
        };
        let (namespace, rest) = service.0.split_once('/')?;
        let (name, port) = rest.split_once(':').unwrap_or((rest, ""));
        (is_label(namespace) && is_label(name)).then(|| Self {
            object: ObjectRef { namespace: namespace.into(), name: name.into() },
            port: port.into(),
        })
    }

    /// How the core calls it.
    #[must_use]
    pub fn service(&self) -> ServiceRef {
        let Self { object, port } = self;
        let colon = if port.is_empty() { "" } else { ":" };
        ServiceRef(format!("{object}{colon}{port}").into())
    }
}

/// What a watch keeps of the objects of one kind.
pub trait Object: Clone + fmt::Debug + Send + Sync + 'static {
    /// Where they are listed, of all namespaces: `/api/v1/services`.
    const PATH: &'static str;
    /// The kind's name, for people: `Service`.
    const KIND: &'static str;

    /// Reads an object.
    ///
    /// # Errors
    ///
    /// Why it is none, for people.
    fn decode(json: &[u8]) -> Result<Self, String>;
}

/// One change of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<T> {
    /// The object was added, or is another version.
    Put(T),
    /// The object is gone.
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
    /// The changes in order; of one object at most one in a complete list.
    pub changes: Vec<Change<T>>,
    /// After these everything that there is has been said. Always so after the first batch.
    pub is_synced: bool,
}

/// Reads JSON.
fn decode<'de, T: Deserialize<'de>>(json: &'de [u8]) -> Result<T, String> {
    serde_json::from_slice(json).map_err(|error| error.to_string())
}

/// Which object it is that has this metadata.
fn object_ref(metadata: &ObjectMeta) -> Result<ObjectRef, String> {
    let Some(name) = metadata.name.as_deref().filter(|name| !name.is_empty()) else {
        return Err("metadata.name is missing".to_owned());
    };
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    Ok(ObjectRef { namespace: namespace.into(), name: name.into() })
}
