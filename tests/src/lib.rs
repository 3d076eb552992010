//! Guards and tests on real kernels with real sockets.

pub mod vm;
