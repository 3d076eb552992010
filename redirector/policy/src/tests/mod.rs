//! The schema, the rules and the validation of a policy.

mod structural;
mod validation;
