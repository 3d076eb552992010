//! The schema, the rules and the validation of a policy.

mod bounds;
mod resource;
mod structural;
mod validation;
