//! The cases of `cases.yaml`: pure data, so that other suites can run them too
//! ([`Script::run`](super::told::Script) reads their clusters).

use std::sync::LazyLock;

use serde::Deserialize;

/// One case.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Where kube-proxy has the rule, below `pkg/proxy/`.
    pub source: String,
    /// The rule.
    pub rule: String,
    /// What there is.
    pub cluster: String,
    /// What the core is told, a line for each service port, then the reasons of notices after `!`.
    pub told: String,
}

pub static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    serde_saphyr::from_str(include_str!("cases.yaml")).expect("cases.yaml is a list of cases")
});
