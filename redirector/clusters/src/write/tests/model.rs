//! As much of an API server as a writer can tell apart: versions, preconditions, a watch in order.

use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
};

use super::*;
use crate::write::kept::addresses;

/// A model of an API server with one watch.
#[derive(Debug, Default)]
pub(super) struct Server {
    pub(super) objects: BTreeMap<Key, Value>,
    /// Events that the watch has not said yet; `None` is that it is gone.
    pub(super) events: VecDeque<(Key, Option<Actual>)>,
    revision: u64,
}

impl Server {
    /// Carries a request out, or refuses it as an API server does.
    pub(super) fn apply(&mut self, job: &Job) -> Outcome {
        let Job { key, request } = job;
        let current = self.objects.get(key);
        let conflict = || {
            let read = |object| Actual::read(key.kind, Ours::All, object).expect("an object").1;
            Outcome::Conflict { found: current.map(read).map(Box::new) }
        };
        let text =
            |object: &Value, field: &str| object["metadata"][field].as_str().map(str::to_owned);
        match request {
            Request::Create(_) if current.is_some() => conflict(),
            Request::Create(object) => Outcome::Written(Box::new(self.put(object))),
            Request::Update(object) | Request::UpdateStatus(object) => match current {
                None => Outcome::Gone,
                Some(old) if text(old, "resourceVersion") != text(object, "resourceVersion") => {
                    conflict()
                }
                Some(_) => Outcome::Written(Box::new(self.put(object))),
            },
            Request::Delete { uid } => match current {
                None => Outcome::Gone,
                Some(old) if text(old, "uid").as_deref() != Some(&**uid) => conflict(),
                Some(_) => {
                    self.objects.remove(key);
                    self.events.push_back((key.clone(), None));
                    Outcome::Gone
                }
            },
        }
    }

    /// Makes or replaces an object.
    pub(super) fn put(&mut self, object: &Value) -> Actual {
        self.revision += 1;
        let key = key(object);
        let uid = self.objects.get(&key).map(|old| old["metadata"]["uid"].clone());
        let mut object = object.clone();
        object["metadata"]["uid"] = uid.unwrap_or_else(|| json!(format!("u{}", self.revision)));
        object["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        let (_, actual) = Actual::read(key.kind, Ours::All, &object).expect("an object");
        self.objects.insert(key.clone(), object);
        self.events.push_back((key, Some(actual.clone())));
        actual
    }

    /// Tells a writer that begins everything there is; its watch goes on from there.
    pub(super) fn list(&mut self, writer: &mut Writer) {
        self.events.clear();
        for object in self.objects.values() {
            let (key, actual) = Actual::read(Kind::EndpointSlice, Ours::All, object).expect("one");
            writer.found(key, actual);
        }
    }

    /// Tells a writer the next event of its watch.
    pub(super) fn say_one(&mut self, writer: &mut Writer) {
        match self.events.pop_front() {
            Some((key, Some(actual))) => writer.found(key, actual),
            Some((key, None)) => writer.lost(key),
            None => {}
        }
    }

    /// Carries everything out until nothing is left to do; how many requests that took.
    pub(super) fn settle(&mut self, writer: &mut Writer) -> usize {
        let mut now = Moment(Duration::from_secs(1_000));
        let mut requests = 0;
        for _ in 0..1_000 {
            while !self.events.is_empty() {
                self.say_one(writer);
            }
            let Some(job) = writer.take(now) else {
                let Some(next) = writer.next_deadline() else {
                    assert_eq!(writer.backlog(), 0, "something is left and nothing is due");
                    return requests;
                };
                now = now.max(next);
                continue;
            };
            let outcome = self.apply(&job);
            writer.done(&job.key, outcome, now);
            requests += 1;
        }
        panic!("it does not come to an end");
    }

    /// All addresses of a Service.
    pub(super) fn addresses(&self, service: &str) -> Vec<IpAddr> {
        let of = |object: &&Value| object["metadata"]["labels"][EXPORTED_SERVICE] == service;
        let slices = self.objects.values().filter(of);
        slices.flat_map(|slice| addresses(slice).to_vec()).collect()
    }
}
