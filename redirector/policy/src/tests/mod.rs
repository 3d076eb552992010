//! The schema, the rules and the validation of a policy.

mod resource;
mod structural;
mod validation;
