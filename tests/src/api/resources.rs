//! The table of what the server serves; everything else of it is generic over these rows.

mod rows;

pub use rows::ALL;

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
    /// Its objects are answered and not kept: `SelfSubjectAccessReview`.
    pub is_question: bool,
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

    /// The version in which its objects are kept: that of its first row.
    pub(super) fn kept(&self) -> &'static Self {
        &ALL[self.index()]
    }

    pub(super) fn index(&self) -> usize {
        let same = |row: &Resource| row.plural == self.plural && row.group == self.group;
        ALL.iter().position(same).expect("every resource is a row of the table")
    }
}

/// The resource of that group and plural name, in the version in which it is kept.
#[must_use]
pub fn of(group: &str, plural: &str) -> Option<&'static Resource> {
    ALL.iter().find(|row| row.group == group && row.plural == plural)
}

/// The same in that version.
pub(super) fn at(group: &str, version: &str, plural: &str) -> Option<&'static Resource> {
    let is_it = |row: &&Resource| row.group == group && row.plural == plural;
    ALL.iter().filter(is_it).find(|row| row.version == version)
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
