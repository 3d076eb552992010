//! Other clusters: whose slices count, what silence means, what is exported and imported, and what an
//! application sees of all that.

mod control;
mod dead;
mod definitions;
mod faults;
mod fixture;
mod joined;
mod leaders;
mod mistakes;
mod names;
mod overlap;
mod own_id;
mod reasons;
mod refused;
mod rights;
mod silence;
mod speed;
mod writers;
