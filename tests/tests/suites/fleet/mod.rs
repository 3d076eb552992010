//! Other clusters: whose slices count, what silence means, what is exported and imported, and what an
//! application sees of all that.

mod control;
mod dead;
mod fixture;
mod joined;
mod reasons;
mod rights;
mod silence;
mod speed;
mod writers;
