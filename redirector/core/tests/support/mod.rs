//! The maps in memory, random worlds, and what the kernel's own decision makes of them.
#![expect(dead_code, reason = "each test binary uses its part")]

pub mod by_name;
pub mod expect;
pub mod memory;
pub mod random;
pub mod reader;
pub mod worlds;
