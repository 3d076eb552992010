//! What panics in a server's own threads, of which a test's thread hears nothing by itself.

use std::{
    panic,
    sync::{
        Mutex, MutexGuard, Once, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    thread,
};

const PREFIX: &str = "fake-api-";

/// Names of threads that have panicked, and what each said.
static HEARD: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

/// Keeps panics from now on. Returns a name for the threads of one more server.
pub(super) fn listen() -> String {
    static HOOK: Once = Once::new();
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            before(info);
            if let Some(name) = thread::current().name().filter(|name| name.starts_with(PREFIX)) {
                heard().push((name.to_owned(), info.to_string()));
            }
        }));
    });
    format!("{PREFIX}{}", NUMBER.fetch_add(1, Relaxed))
}

/// Panics of threads of that name.
pub(super) fn of(name: &str) -> Vec<String> {
    heard().iter().filter(|(thread, _)| thread == name).map(|(_, said)| said.clone()).collect()
}

fn heard() -> MutexGuard<'static, Vec<(String, String)>> {
    HEARD.lock().unwrap_or_else(PoisonError::into_inner)
}
