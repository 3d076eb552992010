//! Watches the connects of redirected TCP sockets: bounds them, and counts how they end.

use aya_ebpf::programs::SockOpsContext;

#[inline(always)]
pub fn connecting(_context: &SockOpsContext) {}

#[inline(always)]
pub fn first_timeout(_context: &SockOpsContext) {}

#[inline(always)]
pub fn unanswered(_context: &SockOpsContext) {}

#[inline(always)]
pub fn decided(_context: &SockOpsContext) {}
