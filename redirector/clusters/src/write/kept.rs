//! What is kept of the objects that there are, of every writer: enough to tell whether one is as desired.

use std::{fmt::Debug, marker::PhantomData, net::IpAddr, sync::Arc};

use redirector_kube::api::{
    Object,
    labels::{IMPORTER, MANAGED_BY, MCS_SERVICE_NAME},
};
use serde_json::Value;

use super::{Content, Key, Kind};
use crate::api::{EXPORTED_SERVICE, OUTBOX, decode};

/// An object as the API server has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Actual {
    /// `metadata.resourceVersion`: what a write is conditional on.
    pub version: Arc<str>,
    /// `metadata.uid`: what a removal is conditional on.
    pub uid: Arc<str>,
    /// Whether the writer of this kind made it. What others made is never changed.
    pub is_ours: bool,
    /// It is about to be removed.
    pub is_leaving: bool,
    /// What belongs together is made before any of it is broken: the Service that it is of.
    pub group: Arc<str>,
    /// What it says.
    pub content: Content,
    /// What its status says.
    pub status: Content,
    /// `metadata.finalizers`, which an update keeps.
    pub finalizers: Arc<[String]>,
    /// The addresses of a slice, in order.
    pub addresses: Arc<[IpAddr]>,
    /// The whole object as text, of kinds that the API server completes.
    pub whole: Option<Arc<str>>,
}

impl Actual {
    /// What is kept of an object.
    ///
    /// # Errors
    ///
    /// It has no name or no version.
    pub fn read(kind: Kind, ours: Ours, object: &Value) -> Result<(Key, Self), String> {
        let metadata = &object["metadata"];
        let text = |field: &str| metadata[field].as_str().unwrap_or_default();
        let labels = &metadata["labels"];
        let (namespace, name) = (text("namespace"), text("name"));
        if name.is_empty() || text("resourceVersion").is_empty() {
            return Err("metadata.name or metadata.resourceVersion is missing".to_owned());
        }
        let finalizers = metadata["finalizers"].as_array().into_iter().flatten();
        let actual = Self {
            version: text("resourceVersion").into(),
            uid: text("uid").into(),
            is_ours: match ours {
                Ours::All => true,
                Ours::Imported => labels[MANAGED_BY] == IMPORTER,
            },
            is_leaving: metadata["deletionTimestamp"].is_string(),
            group: group(object).into(),
            content: Content::of(object),
            status: Content::of_status(object),
            addresses: addresses(object),
            finalizers: finalizers.filter_map(|one| one.as_str().map(str::to_owned)).collect(),
            whole: (kind == Kind::Service).then(|| object.to_string().into()),
        };
        Ok((Key { kind, namespace: namespace.into(), name: name.into() }, actual))
    }
}

/// Which objects of a kind are the writer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ours {
    /// All: no other client may write there.
    All,
    /// Those with the label `endpointslice.kubernetes.io/managed-by: clusters.redirector.dev`.
    Imported,
}

/// The Service that an object is of, by its labels or its name.
pub(super) fn group(object: &Value) -> &str {
    let metadata = &object["metadata"];
    [EXPORTED_SERVICE, MCS_SERVICE_NAME]
        .iter()
        .find_map(|label| metadata["labels"][*label].as_str())
        .or_else(|| metadata["name"].as_str())
        .unwrap_or_default()
}

/// The first address of each endpoint of a slice, in order; none of any other object.
pub(super) fn addresses(object: &Value) -> Arc<[IpAddr]> {
    let endpoints = object["endpoints"].as_array().into_iter().flatten();
    let first = |endpoint: &Value| endpoint["addresses"][0].as_str()?.parse().ok();
    let mut addresses: Vec<IpAddr> = endpoints.filter_map(first).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses.into()
}

/// Where objects of a kind are watched.
pub trait Place: Clone + Debug + Send + Sync + 'static {
    /// The path of the collection.
    const PATH: &'static str;
    /// Their kind.
    const KIND: Kind;
    /// Which of them are the writer's.
    const OURS: Ours;
}

/// An object that there is, as a watch hears it; `None` is one of another writer, of a kind of which
/// there are many.
#[derive(Clone, Debug)]
pub struct Kept<P> {
    /// Which one, and what it is.
    pub found: Option<(Key, Actual)>,
    place: PhantomData<P>,
}

/// A watched place with its kind's name.
pub trait KeptObject: Object {
    /// Which one, and what it is.
    fn found(self) -> Option<(Key, Actual)>;
}

impl<P: Place> Object for Kept<P> {
    const PATH: &'static str = P::PATH;
    const KIND: &'static str = P::KIND.name();

    fn decode(json: &[u8]) -> Result<Self, String> {
        let object: Value = decode(json)?;
        let is_elsewhere = P::OURS == Ours::Imported && object["metadata"]["namespace"] == OUTBOX;
        let (key, actual) = Actual::read(P::KIND, P::OURS, &object)?;
        // A name that another writer has taken is of interest only where names are given by users.
        let is_kept = actual.is_ours || P::KIND == Kind::ServiceImport;
        let found = (is_kept && !is_elsewhere).then_some((key, actual));
        Ok(Self { found, place: PhantomData })
    }
}

impl<P: Place> KeptObject for Kept<P> {
    fn found(self) -> Option<(Key, Actual)> {
        self.found
    }
}
