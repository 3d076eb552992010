//! What is said about a policy in its status.

/// `status` of a policy, without the times of its conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyStatus {
    /// `metadata.generation` that this is about.
    pub generation: i64,
    /// One of each kind, in the order of [`ConditionKind`].
    pub conditions: Vec<Condition>,
}

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Which.
    pub kind: ConditionKind,
    /// Whether it holds; `None` is `Unknown`.
    pub status: Option<bool>,
    /// One word in CamelCase, for programs.
    pub reason: &'static str,
    /// A sentence, for people, at most 1,024 bytes.
    pub message: String,
}

/// The kinds there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConditionKind {
    /// The policy is valid, and no other one holds for its service.
    Accepted,
    /// It is in force in the kernel of the node that says so.
    Programmed,
    /// Something of it does not work: a tier's service is missing, no backend is healthy.
    Degraded,
}

impl ConditionKind {
    /// `type` of the condition.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Programmed => "Programmed",
            Self::Degraded => "Degraded",
        }
    }
}
