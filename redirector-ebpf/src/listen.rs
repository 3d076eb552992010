//! Sees the last local listener of a backend go, and a new one come.

use aya_ebpf::programs::{SockContext, SockOpsContext};

/// A socket begins to listen.
#[inline(always)]
pub fn listening(_context: &SockOpsContext) {}

/// A connection was accepted.
#[inline(always)]
pub fn accepted(_context: &SockOpsContext) {}

/// A socket listens no more.
#[inline(always)]
pub fn ended(_context: &SockOpsContext) {}

/// A socket is closed.
#[inline(always)]
pub fn released(_context: &SockContext) {}
