//! FailoverPolicy, as the API server has it.

/// What is kept of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailoverPolicy {}
