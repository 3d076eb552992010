//! The schema, the rules and the validation of a policy.

mod object;
mod structural;
mod validation;
