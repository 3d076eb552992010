//! The rows. Of several versions of a kind the first is the one in which its objects are kept.

use super::Resource;

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
    is_question: false,
    selectable: &[],
};

const RBAC: Resource = Resource { group: "rbac.authorization.k8s.io", ..PLAIN };

/// Defined by a CRD, with a status.
const CUSTOM: Resource =
    Resource { has_status: true, has_generation: true, is_custom: true, ..PLAIN };

const OURS: Resource = Resource { group: "redirector.dev", version: "v1alpha1", ..CUSTOM };

/// KEP-1645. Kept in `v1beta1`, as mcs-api 0.5 does; the older version differs in its name only.
const MCS: Resource = Resource { group: "multicluster.x-k8s.io", version: "v1beta1", ..CUSTOM };

const EXPORT: Resource = Resource {
    plural: "serviceexports",
    singular: "serviceexport",
    kind: "ServiceExport",
    short: &["svcex", "svcexport"],
    ..MCS
};

const IMPORT: Resource = Resource {
    plural: "serviceimports",
    singular: "serviceimport",
    kind: "ServiceImport",
    short: &["svcim", "svcimport"],
    ..MCS
};

/// KEP-2149: what a cluster says of itself.
const PROPERTY: Resource = Resource {
    group: "about.k8s.io",
    version: "v1beta1",
    plural: "clusterproperties",
    singular: "clusterproperty",
    kind: "ClusterProperty",
    is_namespaced: false,
    has_generation: true,
    is_custom: true,
    ..PLAIN
};

const REVIEW: Resource =
    Resource { group: "authorization.k8s.io", is_namespaced: false, is_question: true, ..PLAIN };

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
        group: "apps",
        plural: "deployments",
        singular: "deployment",
        kind: "Deployment",
        short: &["deploy"],
        is_in_all: true,
        has_status: true,
        has_generation: true,
        ..PLAIN
    },
    Resource {
        group: "policy",
        plural: "poddisruptionbudgets",
        singular: "poddisruptionbudget",
        kind: "PodDisruptionBudget",
        short: &["pdb"],
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
        plural: "failoverpolicies",
        singular: "failoverpolicy",
        kind: "FailoverPolicy",
        short: &["fop"],
        ..OURS
    },
    Resource {
        plural: "remoteclusters",
        singular: "remotecluster",
        kind: "RemoteCluster",
        is_namespaced: false,
        ..OURS
    },
    Resource {
        plural: "exportedservices",
        singular: "exportedservice",
        kind: "ExportedService",
        has_status: false,
        ..OURS
    },
    EXPORT,
    Resource { version: "v1alpha1", ..EXPORT },
    IMPORT,
    Resource { version: "v1alpha1", ..IMPORT },
    PROPERTY,
    Resource { version: "v1alpha1", ..PROPERTY },
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
    Resource {
        plural: "selfsubjectaccessreviews",
        singular: "selfsubjectaccessreview",
        kind: "SelfSubjectAccessReview",
        ..REVIEW
    },
    Resource {
        plural: "selfsubjectrulesreviews",
        singular: "selfsubjectrulesreview",
        kind: "SelfSubjectRulesReview",
        ..REVIEW
    },
];
