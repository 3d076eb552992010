//! The death of a local listener: ejected at once by the kernel alone, and back with a new one.

mod addresses;
mod deaths;
mod fixture;
mod flapping;
mod index;
mod older;
mod under_load;
