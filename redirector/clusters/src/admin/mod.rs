//! What an operator does with other clusters: join, invite, leave, list, check.
//!
//! Each command reads one or two API servers as the operator, decides by pure functions over what was
//! read, and writes little. Nothing here talks to an agent or needs an importer that lives: `leave` works
//! with the other cluster dead.

pub mod check;
mod error;
mod identity;
pub mod invitation;
pub mod join;
mod kinds;
pub mod leave;
pub mod list;
pub mod objects;
mod plan;
mod ranges;
mod side;

pub use error::{Error, Explained, Refusal};
pub use identity::Identity;
pub use kinds::{kubectl_delete, shown};
pub use plan::{Exporting, Importing, Plan, Wish, plan};
pub use ranges::Ranges;
pub use side::{Address, Login, Side};
