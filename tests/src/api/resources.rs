//! The table of what the server serves; everything else of it is generic over these rows.

/// One kind of objects.
#[derive(Debug, PartialEq, Eq)]
pub struct Resource {
    /// API group; empty for the core.
    pub group: &'static str,
    /// `v1`.
    pub version: &'static str,
    /// Its name in paths: `services`.
    pub plural: &'static str,
    /// Its name in the singular, for kubectl: `service`.
    pub singular: &'static str,
    /// `Service`.
    pub kind: &'static str,
    /// Its short names, for kubectl: `svc`.
    pub short: &'static [&'static str],
    /// Its objects live in namespaces.
    pub is_namespaced: bool,
    /// `kubectl get all` shows them.
    pub is_in_all: bool,
    /// It has a status subresource.
    pub has_status: bool,
    /// `metadata.generation` counts changes outside metadata and status.
    pub has_generation: bool,
    /// Defined by a CRD: no strategic merge, updates need a resourceVersion, lists keep kinds.
    pub is_custom: bool,
    /// Fields that a field selector may name, beside `metadata.name` and `metadata.namespace`.
    pub selectable: &'static [&'static str],
}

impl Resource {
    /// `v1` or `apps/v1`.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            return self.version.to_owned();
        }
        format!("{}/{}", self.group, self.version)
    }

    /// Path below which its objects are: `/api/v1` or `/apis/apps/v1`.
    #[must_use]
    pub fn prefix(&self) -> String {
        let root = if self.group.is_empty() { "api" } else { "apis" };
        format!("/{root}/{}", self.api_version())
    }

    /// Its name as errors have it: `services`, `failoverpolicies.redirector.dev`.
    #[must_use]
    pub fn qualified(&self) -> String {
        if self.group.is_empty() {
            return self.plural.to_owned();
        }
        format!("{}.{}", self.plural, self.group)
    }

    pub(super) fn index(&self) -> usize {
        let same = |row: &Resource| row.plural == self.plural && row.group == self.group;
        ALL.iter().position(same).expect("every resource is a row of the table")
    }
}

/// The resource of that group and plural name.
#[must_use]
pub fn of(group: &str, plural: &str) -> Option<&'static Resource> {
    ALL.iter().find(|row| row.group == group && row.plural == plural)
}

/// The resource of an object, by its `apiVersion` and `kind`.
#[must_use]
pub fn of_kind(api_version: &str, kind: &str) -> Option<&'static Resource> {
    ALL.iter().find(|row| row.kind == kind && row.api_version() == api_version)
}

/// The resource of that plural name in any group; of several, the first of the table.
///
/// # Panics
///
/// If there is none: a test's mistake.
#[must_use]
pub fn named(plural: &str) -> &'static Resource {
    let found = ALL.iter().find(|row| row.plural == plural);
    found.unwrap_or_else(|| panic!("the fake API server has no resource {plural}"))
}

const PLAIN: Resource = Resource {
    group: "",
    version: "v1",
    plural: "",
    singular: "",
    kind: "",
    short: &[],
    is_namespaced: true,
    is_in_all: false,
    has_status: false,
    has_generation: false,
    is_custom: false,
    selectable: &[],
};

const RBAC: Resource = Resource { group: "rbac.authorization.k8s.io", ..PLAIN };

const EVENT: Resource = Resource {
    plural: "events",
    singular: "event",
    kind: "Event",
    short: &["ev"],
    selectable: &[
        "reason",
        "type",
        "regarding.kind",
        "regarding.name",
        "regarding.namespace",
        "regarding.uid",
        "involvedObject.kind",
        "involvedObject.name",
        "involvedObject.namespace",
        "involvedObject.uid",
    ],
    ..PLAIN
};

/// All rows. A group's and a version's resources are those of the rows that name it.
pub static ALL: &[Resource] = &[
    Resource {
        plural: "services",
        singular: "service",
        kind: "Service",
        short: &["svc"],
        is_in_all: true,
        has_status: true,
        ..PLAIN
    },
    Resource {
        plural: "nodes",
        singular: "node",
        kind: "Node",
        short: &["no"],
        is_namespaced: false,
        has_status: true,
        ..PLAIN
    },
    Resource {
        plural: "namespaces",
        singular: "namespace",
        kind: "Namespace",
        short: &["ns"],
        is_namespaced: false,
        has_status: true,
        ..PLAIN
    },
    Resource {
        plural: "pods",
        singular: "pod",
        kind: "Pod",
        short: &["po"],
        is_in_all: true,
        has_status: true,
        has_generation: true,
        selectable: &["spec.nodeName", "status.phase", "status.podIP"],
        ..PLAIN
    },
    Resource {
        plural: "endpoints",
        singular: "endpoints",
        kind: "Endpoints",
        short: &["ep"],
        ..PLAIN
    },
    Resource {
        plural: "configmaps",
        singular: "configmap",
        kind: "ConfigMap",
        short: &["cm"],
        ..PLAIN
    },
    Resource {
        plural: "secrets",
        singular: "secret",
        kind: "Secret",
        selectable: &["type"],
        ..PLAIN
    },
    Resource {
        plural: "serviceaccounts",
        singular: "serviceaccount",
        kind: "ServiceAccount",
        short: &["sa"],
        ..PLAIN
    },
    EVENT,
    Resource {
        group: "discovery.k8s.io",
        plural: "endpointslices",
        singular: "endpointslice",
        kind: "EndpointSlice",
        has_generation: true,
        ..PLAIN
    },
    Resource {
        group: "apps",
        plural: "daemonsets",
        singular: "daemonset",
        kind: "DaemonSet",
        short: &["ds"],
        is_in_all: true,
        has_status: true,
        has_generation: true,
        ..PLAIN
    },
    Resource {
        group: "coordination.k8s.io",
        plural: "leases",
        singular: "lease",
        kind: "Lease",
        ..PLAIN
    },
    Resource { group: "events.k8s.io", ..EVENT },
    Resource {
        group: "redirector.dev",
        version: "v1alpha1",
        plural: "failoverpolicies",
        singular: "failoverpolicy",
        kind: "FailoverPolicy",
        short: &["fop"],
        has_status: true,
        has_generation: true,
        is_custom: true,
        ..PLAIN
    },
    Resource {
        group: "apiextensions.k8s.io",
        plural: "customresourcedefinitions",
        singular: "customresourcedefinition",
        kind: "CustomResourceDefinition",
        short: &["crd", "crds"],
        is_namespaced: false,
        has_status: true,
        has_generation: true,
        ..PLAIN
    },
    Resource { plural: "roles", singular: "role", kind: "Role", ..RBAC },
    Resource { plural: "rolebindings", singular: "rolebinding", kind: "RoleBinding", ..RBAC },
    Resource {
        plural: "clusterroles",
        singular: "clusterrole",
        kind: "ClusterRole",
        is_namespaced: false,
        ..RBAC
    },
    Resource {
        plural: "clusterrolebindings",
        singular: "clusterrolebinding",
        kind: "ClusterRoleBinding",
        is_namespaced: false,
        ..RBAC
    },
    Resource {
        group: "scheduling.k8s.io",
        plural: "priorityclasses",
        singular: "priorityclass",
        kind: "PriorityClass",
        short: &["pc"],
        is_namespaced: false,
        ..PLAIN
    },
    Resource {
        group: "networking.k8s.io",
        plural: "networkpolicies",
        singular: "networkpolicy",
        kind: "NetworkPolicy",
        short: &["netpol"],
        has_generation: true,
        ..PLAIN
    },
];
