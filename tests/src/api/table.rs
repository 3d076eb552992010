//! Tables, which `kubectl get` prints: columns per kind, and those that a CRD names.

use serde_json::{Value, json};

use super::{
    object::{age, text},
    resources::{self, Resource},
    serve::Server,
};

/// How one column is made.
#[derive(Debug, Clone)]
enum Cell {
    Name,
    Age,
    /// A CRD's `jsonPath`, and whether it is a date.
    Path(String, bool),
    Of(fn(&Value) -> String),
}

/// The columns of a kind.
#[derive(Debug, Clone)]
pub(crate) struct Columns(Vec<(String, u8, Cell)>);

impl Columns {
    pub fn of(server: &Server, resource: &Resource) -> Self {
        if resource.plural == "events" {
            let columns = EVENTS.iter();
            return Self(
                columns.map(|(name, make)| ((*name).to_owned(), 0, Cell::Of(*make))).collect(),
            );
        }
        let mut columns = vec![("Name".to_owned(), 0, Cell::Name)];
        let defined = if resource.is_custom { defined(server, resource) } else { None };
        if let Some(defined) = defined {
            columns.extend(defined);
            return Self(columns);
        }
        let own: &[(&str, u8, Shown)] = match resource.plural {
            "services" => &[
                ("Type", 0, |value| text(value, "/spec/type").to_owned()),
                ("Cluster-IP", 0, |value| or_none(text(value, "/spec/clusterIP").to_owned())),
                ("External-IP", 0, external),
                ("Port(s)", 0, ports),
            ],
            "endpointslices" => &[
                ("AddressType", 0, |value| text(value, "/addressType").to_owned()),
                ("Ports", 0, |value| or_none(joined(&value["ports"], |port| shown(&port["port"])))),
                ("Endpoints", 0, endpoints),
            ],
            "nodes" => &[("Status", 0, node_status), ("Roles", 0, |_| "<none>".to_owned())],
            "namespaces" | "pods" => {
                &[("Status", 0, |value| text(value, "/status/phase").to_owned())]
            }
            "leases" => &[("Holder", 0, |value| text(value, "/spec/holderIdentity").to_owned())],
            "daemonsets" => &[
                ("Desired", 0, |value| shown(&value["status"]["desiredNumberScheduled"])),
                ("Ready", 0, |value| shown(&value["status"]["numberReady"])),
            ],
            _ => &[],
        };
        columns.extend(
            own.iter()
                .map(|(name, priority, make)| ((*name).to_owned(), *priority, Cell::Of(*make))),
        );
        columns.push(("Age".to_owned(), 0, Cell::Age));
        Self(columns)
    }

    /// The table of these objects.
    pub fn table(&self, objects: &[Value], metadata: &Value) -> Value {
        let definition = |(name, priority, _): &(String, u8, Cell)| {
            let format = if name == "Name" { "name" } else { "" };
            json!({"name": name, "type": "string", "format": format, "description": name,
                   "priority": priority})
        };
        let row = |object: &Value| {
            let cells = self.0.iter().map(|(.., cell)| json!(cell.of(object)));
            json!({"cells": cells.collect::<Vec<_>>(), "object": partial(object)})
        };
        json!({
            "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
            "columnDefinitions": self.0.iter().map(definition).collect::<Vec<_>>(),
            "rows": objects.iter().map(row).collect::<Vec<_>>(),
        })
    }
}

impl Cell {
    fn of(&self, object: &Value) -> String {
        match self {
            Self::Name => text(object, "/metadata/name").to_owned(),
            Self::Age => age(text(object, "/metadata/creationTimestamp")),
            Self::Path(path, is_date) => {
                let found = at(object, path).map(shown).unwrap_or_default();
                if *is_date && !found.is_empty() { age(&found) } else { found }
            }
            Self::Of(make) => make(object),
        }
    }
}

/// What a column says of an object.
type Shown = fn(&Value) -> String;

/// The columns of kubectl; an Event's name says nothing.
const EVENTS: [(&str, Shown); 5] = [
    ("Last Seen", |event| {
        let times = ["/series/lastObservedTime", "/eventTime", "/metadata/creationTimestamp"];
        let found = times.iter().map(|path| text(event, path)).find(|time| !time.is_empty());
        age(found.unwrap_or_default())
    }),
    ("Type", |event| text(event, "/type").to_owned()),
    ("Reason", |event| text(event, "/reason").to_owned()),
    ("Object", |event| {
        let of = |field: &str| {
            let regarding = text(event, &format!("/regarding/{field}"));
            [regarding, text(event, &format!("/involvedObject/{field}"))].concat()
        };
        format!("{}/{}", of("kind").to_lowercase(), of("name"))
    }),
    ("Message", |event| [text(event, "/note"), text(event, "/message")].concat()),
];

/// `meta.k8s.io/v1 PartialObjectMetadata`.
pub(crate) fn partial(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
           "metadata": object["metadata"]})
}

/// `additionalPrinterColumns` of the CRD, if it is there.
fn defined(server: &Server, resource: &Resource) -> Option<Vec<(String, u8, Cell)>> {
    let key = (String::new(), resource.qualified());
    let crds = resources::named("customresourcedefinitions");
    let found = server.store.lock().get(crds, &key).cloned()?.value();
    let versions = found.pointer("/spec/versions")?.as_array()?;
    let version = versions.iter().find(|version| version["name"] == resource.version)?;
    let columns = version.get("additionalPrinterColumns")?.as_array()?;
    let column = |column: &Value| {
        let path = text(column, "/jsonPath").to_owned();
        let priority = column["priority"].as_u64().and_then(|number| u8::try_from(number).ok());
        let cell = Cell::Path(path, column["type"] == "date");
        (text(column, "/name").to_owned(), priority.unwrap_or(0), cell)
    };
    Some(columns.iter().map(column).collect())
}

/// What a JSONPath finds: names, `[0]`, and `[?(@.type=="Accepted")]`.
fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let (name, rest) = {
        let path = path.trim_start_matches(['.', '$']);
        if path.is_empty() {
            return Some(value);
        }
        if let Some(inner) = path.strip_prefix('[') {
            let (inner, rest) = inner.split_once(']')?;
            (Err(inner), rest)
        } else {
            let end = path.find(['.', '[']).unwrap_or(path.len());
            (Ok(&path[..end]), &path[end..])
        }
    };
    let below = match name {
        Ok(name) => value.get(name)?,
        Err("*") => value.as_array()?.first()?,
        Err(inner) => match inner.strip_prefix("?(@.").and_then(|inner| inner.strip_suffix(')')) {
            Some(filter) => {
                let (field, wanted) = filter.split_once("==")?;
                let wanted = wanted.trim().trim_matches(['"', '\'']);
                value.as_array()?.iter().find(|item| item[field.trim()] == wanted)?
            }
            None => value.get(inner.parse::<usize>().ok()?)?,
        },
    };
    at(below, rest)
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn joined(list: &Value, show: impl Fn(&Value) -> String) -> String {
    let list = list.as_array().into_iter().flatten();
    list.map(show).collect::<Vec<_>>().join(",")
}

fn or_none(text: String) -> String {
    if text.is_empty() { "<none>".to_owned() } else { text }
}

fn external(service: &Value) -> String {
    let balancers = joined(&service["status"]["loadBalancer"]["ingress"], |one| {
        [shown(&one["ip"]), shown(&one["hostname"])].concat()
    });
    let own = joined(&service["spec"]["externalIPs"], shown);
    or_none(
        [balancers, own].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(","),
    )
}

fn ports(service: &Value) -> String {
    or_none(joined(&service["spec"]["ports"], |port| {
        let node = port["nodePort"].as_u64().map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}{node}/{}", shown(&port["port"]), shown(&port["protocol"]))
    }))
}

fn endpoints(slice: &Value) -> String {
    let all = slice["endpoints"].as_array().map_or(0, Vec::len);
    let first = slice["endpoints"].as_array().into_iter().flatten().take(3);
    let first: Vec<_> = first.map(|endpoint| shown(&endpoint["addresses"][0])).collect();
    let more = if all > 3 { format!(" + {} more...", all - 3) } else { String::new() };
    or_none(first.join(",") + &more)
}

fn node_status(node: &Value) -> String {
    let conditions = node["status"]["conditions"].as_array().into_iter().flatten();
    let ready = conditions.clone().find(|condition| condition["type"] == "Ready");
    match ready.map(|condition| condition["status"] == "True") {
        Some(true) => "Ready".to_owned(),
        Some(false) => "NotReady".to_owned(),
        None => "Unknown".to_owned(),
    }
}
