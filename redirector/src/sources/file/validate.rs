//! Turns what is written into what the core is told, or lists everything that forbids it.
//!
//! The first pass reads all frontends, so that the second one knows which backends are frontends,
//! whatever the order of the services.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    sync::Arc,
};

use redirector_core::service::{Frontend, Locality, Protocol, Service, ServiceRef};

use super::{
    Config, address,
    backends::Backends,
    clusters::{self, Stated},
    fields::{Fields, scalar},
    names::Names,
    policy,
    problems::{Invalid, Problems},
    tree::{Position, Tree},
    warnings,
};

const FILE: &[&str] = &["node", "allowLoopback", "clusters", "services"];
const NODE: &[&str] = &["name", "zone", "region", "cluster"];
const SERVICE: &[&str] = &["name", "frontends", "affinity", "backends", "policy"];

/// The whole file, or all of its problems.
pub(super) fn validate(path: &str, file: &Tree<'_>) -> Result<Config, Invalid> {
    let mut validation = Validation::default();
    validation.file(file).ok_or_else(|| {
        let (problems, unlisted) = validation.problems.listed();
        Invalid { path: path.to_owned(), problems, unlisted }
    })
}

/// What is known of a file, and what is wrong with it.
#[derive(Default)]
pub(super) struct Validation {
    pub allow_loopback: bool,
    pub problems: Problems,
    pub names: Names,
    /// Where each frontend is written, and in which service.
    pub frontends: HashMap<Frontend, (Position, Arc<str>)>,
    /// Other clusters that are stated.
    pub clusters: Vec<Stated>,
}

/// A service whose name and frontends have been read.
pub(super) struct Headed<'t> {
    name: ServiceRef,
    /// How messages name it.
    pub label: String,
    frontends: Vec<Frontend>,
    protocol: Protocol,
    pub fields: Fields<'t>,
}

impl Validation {
    /// What the file says; `None` if something is wrong.
    fn file(&mut self, file: &Tree<'_>) -> Option<Config> {
        let missing = "services is missing; write `services: []` for none";
        if file.is_absent() {
            self.problems.add(Position::FILE, missing);
            return None;
        }
        let fields = Fields::of(file, FILE, &mut self.problems)?;
        self.allow_loopback = fields.bool("allowLoopback", &mut self.problems);
        let node = fields.get("node");
        let node = node.and_then(|node| Fields::of(node, NODE, &mut self.problems));
        let node = node.map_or_else(Locality::default, |node| self.locality(&node, "name", "node"));
        let clusters = fields.list("clusters", &mut self.problems).ok().flatten();
        self.clusters = clusters::read(clusters.unwrap_or_default(), &node, &mut self.problems);
        let services = fields.list("services", &mut self.problems);
        if let Ok(None) = services {
            self.problems.add(Position::FILE, missing);
        }
        let mut lines = HashMap::new();
        let services = services.ok().flatten().unwrap_or_default().iter();
        let headed: Vec<Headed<'_>> =
            services.filter_map(|service| self.head(service, &mut lines)).collect();
        let mut services: Vec<_> =
            headed.iter().map(|headed| self.service(headed, &node)).collect();
        if self.problems.count() > 0 {
            return None;
        }
        let mut warnings = warnings::of_clusters(&self.clusters);
        warnings::of(&headed, &services, &node, &mut warnings);
        self.leave_out(&mut services);
        let clusters = self.clusters.iter().filter(|stated| !stated.is_out());
        let clusters = clusters.map(Stated::told).collect();
        let (warnings, unlisted_warnings) = warnings.listed();
        Some(Config { node, clusters, services, warnings, unlisted_warnings })
    }

    /// Takes out the backends of clusters to which the way must be encrypted: nothing says that it is.
    fn leave_out(&self, services: &mut [Service]) {
        let out: Vec<&str> = self
            .clusters
            .iter()
            .filter(|stated| stated.is_out())
            .map(|stated| stated.name.as_str())
            .collect();
        for service in services.iter_mut().filter(|_| !out.is_empty()) {
            let is_out = |cluster: &Arc<str>| out.contains(&&**cluster);
            service.backends.retain(|it| !it.locality.cluster.as_ref().is_some_and(is_out));
        }
    }

    /// A place, whose node is the field `node`; `of` is how messages name what is there.
    pub fn locality(&mut self, fields: &Fields<'_>, node: &str, of: impl fmt::Display) -> Locality {
        let Self { names, problems, .. } = self;
        let mut place = |field| {
            let name = fields.text(field, problems).ok()??;
            if name.value.contains('/') {
                let why = "contains '/', which separates the name of a cluster from that of a node \
                           or zone; use another character";
                problems.add(name.position, format_args!("{of}: {field} {why}"));
                return None;
            }
            names.name(name, format_args!("{of}: {field}"), problems)
        };
        Locality {
            node: place(node),
            zone: place("zone"),
            region: place("region"),
            cluster: place("cluster"),
        }
    }

    fn head<'t>(
        &mut self,
        service: &'t Tree<'_>,
        lines: &mut HashMap<&'t str, u32>,
    ) -> Option<Headed<'t>> {
        let fields = Fields::of(service, SERVICE, &mut self.problems)?;
        let (name, label) = self.name(&fields, lines);
        let (frontends, protocol) = self.frontends(&fields, &name, &label);
        Some(Headed { name: ServiceRef(name), label, frontends, protocol, fields })
    }

    /// The name and how messages say it. Without a valid name a service is validated to the end,
    /// then refused with the file.
    fn name<'t>(
        &mut self,
        service: &Fields<'t>,
        lines: &mut HashMap<&'t str, u32>,
    ) -> (Arc<str>, String) {
        let written = service.text("name", &mut self.problems);
        if let Ok(None) = written {
            self.problems.add(service.position, "a service has no name; give it one");
        }
        let Ok(Some(written)) = written else {
            return (Arc::default(), "service without name".to_owned());
        };
        let label = format!("service {written:?}");
        match lines.entry(written.value) {
            Entry::Vacant(free) => _ = free.insert(written.position.line),
            Entry::Occupied(taken) => self.problems.add(
                written.position,
                format_args!(
                    "{label} is already at line {}; put them together or rename one",
                    taken.get()
                ),
            ),
        }
        let name = self.names.name(written, "the name of a service", &mut self.problems);
        (name.unwrap_or_default(), label)
    }

    fn frontends(
        &mut self,
        service: &Fields<'_>,
        name: &Arc<str>,
        label: &str,
    ) -> (Vec<Frontend>, Protocol) {
        let written = service.list("frontends", &mut self.problems);
        if let Ok(None | Some([])) = written {
            let why = "has no frontends; list at least one, or remove the service";
            self.problems.add(service.position, format_args!("{label} {why}"));
        }
        let mut frontends: Vec<Frontend> = Vec::new();
        for tree in written.ok().flatten().unwrap_or_default() {
            let Some(text) = scalar(tree, &mut self.problems) else { continue };
            let position = text.position;
            let (address, port, protocol) = match address::frontend(text.value) {
                Ok(found) => found,
                Err(why) => {
                    let message = format_args!("{label}: frontend {text:?} {why}");
                    self.problems.add(position, message);
                    continue;
                }
            };
            if let Some(why) = address::objection(address, self.allow_loopback) {
                self.problems.add(position, format_args!("{label}: frontend {text} {why}"));
            }
            if let Some(first) = frontends.first()
                && first.protocol != protocol
            {
                self.problems.add(
                    position,
                    format_args!(
                        "{label}: frontend {text} is {protocol}, the first one is {}; \
                         make two services",
                        first.protocol
                    ),
                );
            }
            if let Some(stated) = clusters::pods_at(&self.clusters, address) {
                self.problems.add(
                    position,
                    format_args!(
                        "{label}: frontend {text} is in the ranges of cluster {:?} at line {}; with \
                         reach Pod only its pods are",
                        stated.name, stated.position.line
                    ),
                );
            }
            let frontend = Frontend { address, port, protocol };
            match self.frontends.entry(frontend) {
                Entry::Vacant(free) => _ = free.insert((position, Arc::clone(name))),
                Entry::Occupied(taken) => {
                    let (Position { line, .. }, owner) = taken.get();
                    self.problems.add(
                        position,
                        format_args!(
                            "{label}: frontend {frontend} is already that of service {owner:?} \
                             at line {line}; remove one of them"
                        ),
                    );
                }
            }
            frontends.push(frontend);
        }
        let protocol = frontends.first().map_or(Protocol::Tcp, |first| first.protocol);
        (frontends, protocol)
    }

    fn service(&mut self, headed: &Headed<'_>, node: &Locality) -> Service {
        let Headed { name, label, frontends, protocol, fields } = headed;
        let protocol = *protocol;
        let backends = match fields.list("backends", &mut self.problems) {
            Ok(Some(list)) => Backends { validation: self, label, protocol, node }.read(list),
            Ok(None) => {
                let why = "has no backends; write `backends: []` to refuse everyone";
                self.problems.add(fields.position, format_args!("{label} {why}"));
                Vec::new()
            }
            Err(_) => Vec::new(),
        };
        let written = fields.get("policy");
        let owner = policy::Owner { name, label, protocol };
        let policy = policy::policy(written, &owner, &mut self.problems);
        policy::refuse_redirected_probe(&policy, written, &backends, label, self);
        Service {
            name: name.clone(),
            frontends: frontends.clone(),
            affinity_seconds: policy::affinity(fields.get("affinity"), label, &mut self.problems),
            virtual_addresses: Vec::new(),
            also_served: false,
            unreachable: false,
            backends,
            policy,
        }
    }
}
