//! Other clusters: whose slices count, what silence means, what is exported and imported, and what an
//! application sees of all that.

mod fixture;
mod silence;
mod writers;
