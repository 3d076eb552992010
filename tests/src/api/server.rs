//! What the fake server and a real one have in common for tests.

use std::path::PathBuf;

use anyhow::Result;
use serde_json::Value;

use super::{Api, Verb};

/// An API server that an agent can be fed by.
pub trait Server {
    /// Makes an object, or replaces the one of its name. Its namespace is made if it is missing.
    fn put(&self, object: impl Into<Value>) -> Result<()>;

    /// Deletes an object.
    fn remove(&self, resource: &str, namespace: &str, name: &str) -> Result<()>;

    /// A file for `--kubeconfig` of the agent.
    fn kubeconfig(&self) -> PathBuf;

    /// The agent's LISTs of a resource that were answered by objects, since the start or the last
    /// [`forget_requests`](Self::forget_requests).
    fn lists(&self, resource: &str) -> Result<usize>;

    /// Counts LISTs anew.
    fn forget_requests(&self) -> Result<()>;
}

impl Server for Api {
    fn put(&self, object: impl Into<Value>) -> Result<()> {
        Ok(self.put(object).map(drop)?)
    }

    fn remove(&self, resource: &str, namespace: &str, name: &str) -> Result<()> {
        Ok(self.delete(resource, namespace, name)?)
    }

    fn kubeconfig(&self) -> PathBuf {
        self.kubeconfig()
    }

    fn lists(&self, resource: &str) -> Result<usize> {
        let asked = self.requests();
        let lists = asked.iter().filter(|asked| asked.verb == Verb::List);
        Ok(lists.filter(|asked| asked.resource == resource && asked.code == 200).count())
    }

    fn forget_requests(&self) -> Result<()> {
        self.forget_requests();
        Ok(())
    }
}
