//! Objects for tests, in a few words. Each becomes a `Value` for [`Api::put`](super::Api::put).

mod node;
mod policy;
mod service;
mod slice;

pub use node::Node;
pub use policy::FailoverPolicy;
pub use service::Service;
pub use slice::{Endpoint, EndpointSlice};
