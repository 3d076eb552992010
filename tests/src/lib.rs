//! Guards and tests on real kernels with real sockets.

pub mod agent;
pub mod api;
pub mod bpffs;
pub mod bpftool;
pub mod cgroup;
pub mod cluster;
pub mod crash;
pub mod dialer;
pub mod lab;
pub mod memory;
pub mod names;
pub mod netns;
pub mod place;
pub mod privileges;
pub mod programs;
pub mod replica;
pub mod script;
pub mod server;
pub mod size;
pub mod tenant;
pub mod traces;
pub mod vm;
pub mod wait;
pub mod zones;
