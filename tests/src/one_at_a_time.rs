//! Lets tests of one process run one after the other, however they are run.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// For tests that look at, or change, what the whole process or kernel has, and for those that
/// measure time.
pub fn one_at_a_time() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}
