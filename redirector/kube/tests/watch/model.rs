//! What a reader knows that hears only what a watch says.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use redirector_kube::api::{Batch, Change, Object, ObjectRef};
use serde::Deserialize;
use tokio::{sync::mpsc, task::JoinHandle};

/// The objects of these tests.
#[derive(Clone, Debug)]
pub struct Thing {
    object: ObjectRef,
    value: String,
}

impl Object for Thing {
    const PATH: &'static str = "/api/v1/things";
    const KIND: &'static str = "Thing";

    fn decode(json: &[u8]) -> Result<Self, String> {
        let Raw { metadata, spec } = serde_json::from_slice(json).map_err(|why| why.to_string())?;
        let object = ObjectRef { namespace: metadata.namespace.into(), name: metadata.name.into() };
        Ok(Self { object, value: spec.value })
    }
}

#[derive(Deserialize)]
struct Raw {
    metadata: RawMetadata,
    spec: RawSpec,
}

#[derive(Deserialize)]
struct RawMetadata {
    namespace: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSpec {
    value: String,
}

/// Built from batches, as the index does. Dropping it drops the receiver.
pub struct Model {
    heard: Arc<Mutex<Heard>>,
    task: JoinHandle<()>,
}

/// What a watch has said.
#[derive(Default)]
pub struct Heard {
    objects: BTreeMap<String, String>,
    rejected: BTreeSet<String>,
    /// `+NAME=VALUE`, `-NAME` and `!NAME`, in order.
    pub said: Vec<String>,
    /// A batch that broke a promise.
    pub broken: Vec<String>,
}

impl Model {
    pub fn listen(mut receiver: mpsc::Receiver<Batch<Thing>>) -> Self {
        let heard = Arc::new(Mutex::new(Heard::default()));
        let listener = heard.clone();
        let task = tokio::spawn(async move {
            while let Some(batch) = receiver.recv().await {
                lock(&listener).apply(batch);
            }
        });
        Self { heard, task }
    }

    pub fn objects(&self) -> BTreeMap<String, String> {
        lock(&self.heard).objects.clone()
    }

    /// Everything that was said and promised.
    pub fn heard(&self) -> MutexGuard<'_, Heard> {
        lock(&self.heard)
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Heard {
    fn apply(&mut self, batch: Batch<Thing>) {
        let Batch { changes, is_synced } = batch;
        if !is_synced {
            self.broken.push("a batch that is not synced".to_owned());
        }
        for change in changes {
            match change {
                Change::Put(Thing { object, value }) => {
                    self.said.push(format!("+{}={value}", object.name));
                    self.objects.insert(object.name.to_string(), value);
                }
                Change::Remove(object) => {
                    self.said.push(format!("-{}", object.name));
                    let was_rejected = self.rejected.remove(&*object.name);
                    if self.objects.remove(&*object.name).is_none() && !was_rejected {
                        self.broken.push(format!("{object} removed before it was there"));
                    }
                }
                Change::Rejected { object, .. } => {
                    self.said.push(format!("!{}", object.name));
                    self.rejected.insert(object.name.to_string());
                }
            }
        }
    }
}

fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}
