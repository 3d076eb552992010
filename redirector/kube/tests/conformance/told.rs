//! What the core is told of a cluster, in a few lines.

use std::collections::{BTreeMap, BTreeSet};

use redirector_core::{
    Input,
    service::{Rank, Service as CoreService, ServiceRef},
};
use redirector_kube::{
    api::{Batch, Change, EndpointSlice, Node, Object, ObjectRef, RemoteCluster, Service},
    index::{Index, News, Scope, Settings},
};
use serde_json::Value;

pub use super::script::Script;
use super::script::{Name, Step};

impl Script {
    /// An index that has heard all of it, what the core was told, and how it was told.
    pub fn run(&self) -> (Index, Told) {
        self.run_with(News::Policies(Batch { changes: Vec::new(), is_synced: true }))
    }

    /// The same, with these policies from the start.
    pub fn run_with(&self, policies: News) -> (Index, Told) {
        let settings = settings(self.settings.as_deref().unwrap_or_default());
        let mut index = Index::new(settings);
        let mut told = Told::default();
        index.take(policies);
        for (number, step) in self.steps.iter().enumerate() {
            for news in step.news(number == 0) {
                index.take(news);
            }
            told.take(index.inputs());
        }
        (index, told)
    }
}

impl Step {
    fn news(&self, is_first: bool) -> Vec<News> {
        let mut news = Vec::new();
        if let Some(node) = &self.node {
            news.push(News::Node(batch::<Node>(std::slice::from_ref(node), &[])));
        }
        if let Some(regions) = &self.regions {
            let text =
                |(zone, region): (&String, &String)| (zone.as_str().into(), region.as_str().into());
            news.push(News::Regions(regions.iter().map(text).collect()));
        }
        if let Some(nodes) = &self.nodes {
            news.push(News::Nodes(nodes.iter().map(|it| it.parse().expect("a range")).collect()));
        }
        if let Some(agent) = &self.agent {
            news.push(News::Agent(
                agent.iter().map(|it| it.parse().expect("an address")).collect(),
            ));
        }
        let [services, slices, clusters] =
            [&self.removed_services, &self.removed_slices, &self.removed_clusters]
                .map(|names| names.iter().map(reference).collect::<Vec<_>>());
        if let Some(id) = &self.property {
            news.push(News::ClusterProperty(Some(id.as_str().into())));
        } else if is_first {
            news.push(News::ClusterProperty(None));
        }
        if is_first || !self.clusters.is_empty() || !clusters.is_empty() {
            news.push(News::Clusters(batch::<RemoteCluster>(&self.clusters, &clusters)));
        }
        news.push(News::Services(batch::<Service>(&self.services, &services)));
        news.push(News::Slices(batch::<EndpointSlice>(&self.slices, &slices)));
        news
    }
}

/// What the core knows, by its inputs.
#[derive(Debug, Default)]
pub struct Told {
    pub services: BTreeMap<ServiceRef, CoreService>,
    pub inputs: Vec<Input>,
}

impl Told {
    pub fn take(&mut self, inputs: Vec<Input>) {
        for input in &inputs {
            match input {
                Input::Change { put, remove } => {
                    self.services.retain(|name, _| !remove.contains(name));
                    let put = put.iter().map(|service| (service.name.clone(), service.clone()));
                    self.services.extend(put);
                }
                Input::Replace(all) => {
                    let all = all.iter().map(|service| (service.name.clone(), service.clone()));
                    self.services = all.collect();
                }
                _ => {}
            }
        }
        self.inputs.extend(inputs);
    }

    /// One line for each service, in order: frontends, backends with their ranks, and what else is
    /// unusual.
    pub fn lines(&self) -> Vec<String> {
        self.services.values().map(line).collect()
    }
}

/// One line about a service.
pub fn line(service: &CoreService) -> String {
    let CoreService {
        name,
        frontends,
        virtual_addresses: _,
        affinity_seconds,
        also_served,
        unreachable,
        backends,
        policy: _,
    } = service;
    assert!(also_served, "kube-proxy serves {name} too");
    let mut words = vec![name.to_string()];
    let mut frontends: Vec<_> = frontends.clone();
    frontends.sort();
    words.extend(frontends.iter().map(ToString::to_string));
    words.push("=>".to_owned());
    for (rank, mark) in [(Rank::Preferred, "P"), (Rank::Ready, "R"), (Rank::Terminating, "T")] {
        let of = backends.iter().filter(|backend| backend.rank == rank);
        let of: Vec<String> = of
            .map(|backend| {
                let weight = match backend.weight {
                    1 => String::new(),
                    weight => format!("*{weight}"),
                };
                let cluster = backend.locality.cluster.iter().map(|cluster| format!("{cluster}/"));
                let backend = backend.backend;
                let address = std::net::SocketAddr::new(backend.address, backend.port);
                format!("{}{address}{weight}", cluster.collect::<String>())
            })
            .collect();
        if !of.is_empty() {
            words.push(format!("{mark} {}", of.join(" ")));
        }
    }
    words.extend(affinity_seconds.map(|seconds| format!("affinity={seconds}")));
    words.extend(unreachable.then(|| "unreachable".to_owned()));
    words.join(" ")
}

/// The reasons of all notices, in order, each once.
pub fn reasons(index: &Index) -> Vec<&'static str> {
    let reasons: BTreeSet<_> = index.notices().iter().map(|notice| notice.reason).collect();
    reasons.into_iter().collect()
}

/// A batch of whole objects, read as the watches read them.
pub fn batch<T: Object>(objects: &[Value], removed: &[ObjectRef]) -> Batch<T> {
    let put = objects.iter().map(|object| {
        let json = serde_json::to_vec(object).expect("JSON");
        Change::Put(T::decode(&json).unwrap_or_else(|why| panic!("{object}: {why}")))
    });
    let changes = put.chain(removed.iter().cloned().map(Change::Remove)).collect();
    Batch { changes, is_synced: true }
}

/// `name` is in the namespace `shop`.
pub fn object(name: &str) -> ObjectRef {
    reference(&Name::read(name))
}

fn reference(Name { namespace, name }: &Name) -> ObjectRef {
    ObjectRef { namespace: namespace.as_str().into(), name: name.as_str().into() }
}

fn settings(words: &[String]) -> Settings {
    let mut settings = Settings { scope: Scope::All, ..Settings::new("n1") };
    for word in words {
        match word.split_once('=').unwrap_or((word, "")) {
            ("scope", "labelled") => settings.scope = Scope::Labelled,
            ("external-ips", _) => settings.external_ips = true,
            ("no-node-hints", _) => settings.features.node_hints = false,
            ("node", name) => settings.node = name.into(),
            ("cluster", id) => settings.cluster = Some(id.into()),
            ("backends", number) => settings.quotas.backends = number.parse().expect("a number"),
            ("trusted", networks) => {
                let networks = networks.split(',').map(|text| text.parse().expect("a network"));
                settings.trusted = networks.collect();
            }
            ("slots", number) => settings.quotas.slots = number.parse().expect("a number"),
            ("frontends", number) => settings.quotas.frontends = number.parse().expect("a number"),
            _ => panic!("no setting: {word}"),
        }
    }
    settings
}
