//! The one list of tests that may be skipped. Any other skip fails the run.

/// The name that the test prints after `SKIP`, with its suite, and why it may be skipped.
const ALLOWED: &[(&str, &str)] = &[
    ("deploy::helm", "Debian has no helm"),
    ("deploy::kubectl", "Debian's kubectl knows no kustomize components"),
    (
        "fake_api::a_real_server_answers_the_same_handle",
        "kube-apiserver and etcd are nowhere to be had but from Kubernetes' own servers",
    ),
    ("kernels::linux_5_10", "Debian's mirrors may have dropped this kernel's packages"),
    ("kernels::linux_6_1", "Debian's mirrors may have dropped this kernel's packages"),
    ("kernels::linux_6_12", "Debian's mirrors may have dropped this kernel's packages"),
    ("kernels::linux_newest", "Debian's unstable release may be in the middle of a transition"),
];

pub(super) fn is_allowed(test: &str) -> bool {
    ALLOWED.iter().any(|(allowed, _)| *allowed == test)
}
