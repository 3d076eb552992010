//! Turns what is written into what the core is told, or lists everything that forbids it.
//!
//! The first pass reads all frontends, so that the second one knows which backends are frontends,
//! whatever the order of the services.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use redirector_core::service::{Frontend, Locality, Protocol, Service, ServiceRef};

use super::{
    Config, address,
    at::{At, Position},
    backends::Backends,
    invalid::{Invalid, Problems},
    names::Names,
    policy, schema, warnings,
};

/// The whole file, or all of its problems, with those that were found in reading it.
pub(super) fn validate(
    path: &str,
    text: &str,
    file: &schema::File,
    mut problems: Problems,
) -> Result<Config, Invalid> {
    let written = file.services.as_deref();
    if written.is_none() {
        let why = "services is missing; write `services: []` for none";
        problems.add(Position::FILE, why);
    }
    let written = written.unwrap_or_default();
    let mut validation = Validation {
        allow_loopback: file.allow_loopback,
        problems,
        names: Names::default(),
        frontends: HashMap::new(),
    };
    let node = validation.node(file.node.as_ref());
    let headed: Vec<Headed<'_>> = validation.heads(written);
    let services = headed
        .into_iter()
        .map(|headed| validation.service(headed, &node, text))
        .collect::<Vec<_>>();
    validation.problems.verdict(path)?;
    let (warnings, unlisted_warnings) = warnings::of(written, &services, &node).listed();
    Ok(Config { node, services, warnings, unlisted_warnings })
}

/// What is known of a file, and what is wrong with it.
pub(super) struct Validation {
    pub allow_loopback: bool,
    pub problems: Problems,
    pub names: Names,
    /// Where each frontend is written, and in which service.
    pub frontends: HashMap<Frontend, (Position, Arc<str>)>,
}

/// A service whose name and frontends have been read.
struct Headed<'a> {
    name: ServiceRef,
    /// How messages name it.
    label: String,
    frontends: Vec<Frontend>,
    protocol: Protocol,
    rest: &'a At<schema::Service>,
}

impl Validation {
    fn node(&mut self, written: Option<&schema::Node>) -> Locality {
        let Some(schema::Node { name, zone, region, cluster }) = written else {
            return Locality::default();
        };
        let mut place = |field: &Option<_>, what| {
            self.names.place(field.as_ref()?, format_args!("node: {what}"), &mut self.problems)
        };
        Locality {
            node: place(name, "name"),
            zone: place(zone, "zone"),
            region: place(region, "region"),
            cluster: place(cluster, "cluster"),
        }
    }

    fn heads<'a>(&mut self, services: &'a [At<schema::Service>]) -> Vec<Headed<'a>> {
        let mut lines = HashMap::new();
        let mut heads = Vec::with_capacity(services.len());
        for service in services {
            let (name, label) = self.service_name(service, &mut lines);
            let (frontends, protocol) = self.frontends(service, &name, &label);
            heads.push(Headed {
                name: ServiceRef(name),
                label,
                frontends,
                protocol,
                rest: service,
            });
        }
        heads
    }

    /// The name and how messages say it. Without a valid name a service is validated to the end,
    /// then refused with the file.
    fn service_name<'a>(
        &mut self,
        service: &'a At<schema::Service>,
        lines: &mut HashMap<&'a str, u32>,
    ) -> (Arc<str>, String) {
        let Some(written) = &service.value.name else {
            let why = "a service has no name; give it one";
            self.problems.missing(service.position, "name", why);
            return (Arc::default(), "service without name".to_owned());
        };
        let label = format!("service {written:?}");
        match lines.entry(written.value.as_str()) {
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
        service: &At<schema::Service>,
        name: &Arc<str>,
        label: &str,
    ) -> (Vec<Frontend>, Protocol) {
        let mut frontends: Vec<Frontend> = Vec::new();
        for text in service.value.frontends.iter().flatten() {
            let position = text.position;
            let (address, port, protocol) = match address::frontend(&text.value) {
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
        if service.value.frontends.as_ref().is_none_or(Vec::is_empty) {
            self.problems.missing(
                service.position,
                "frontends",
                format_args!("{label} has no frontends; list at least one, or remove the service"),
            );
        }
        let protocol = frontends.first().map_or(Protocol::Tcp, |first| first.protocol);
        (frontends, protocol)
    }

    fn service(&mut self, headed: Headed<'_>, node: &Locality, file: &str) -> Service {
        let Headed { name, label, frontends, protocol, rest } = headed;
        let At { value: written, position } = rest;
        let mut backends = Vec::new();
        match &written.backends {
            Some(list) => {
                let mut reading = Backends { validation: self, label: &label, protocol, node };
                backends = reading.read(list);
            }
            None => self.problems.add(
                *position,
                format_args!("{label} has no backends; write `backends: []` to refuse everyone"),
            ),
        }
        let owner = policy::Owner { name: &name, label: &label, protocol, file };
        let policy = policy::policy(written.policy.as_ref(), &owner, &mut self.problems);
        policy::refuse_redirected_probe(&policy, written.policy.as_ref(), &backends, &label, self);
        Service {
            name,
            frontends,
            affinity_seconds: policy::affinity(
                written.affinity.as_ref(),
                &label,
                &mut self.problems,
            ),
            virtual_addresses: Vec::new(),
            also_served: false,
            unreachable: false,
            backends,
            policy,
        }
    }
}
