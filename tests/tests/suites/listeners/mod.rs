//! The death of a local listener: ejected at once by the kernel alone, and back with a new one.

mod addresses;
mod deaths;
mod flapping;
mod index;
mod older;
mod stage;
mod under_load;
