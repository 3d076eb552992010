//! The kernel matrix: the real object loads and redirects on the oldest and newest kernels.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};

use redirector_tests::vm::{self, Kernel, Report};

/// Two cores, and each guest keeps one busy.
const GUESTS_AT_ONCE: u32 = 2;

#[test]
fn linux_5_10() {
    assert_all_checks_hold(vm::LINUX_5_10);
}

#[test]
fn linux_6_1() {
    assert_all_checks_hold(vm::LINUX_6_1);
}

#[test]
fn linux_6_12() {
    assert_all_checks_hold(vm::LINUX_6_12);
}

#[test]
fn linux_newest() {
    assert_all_checks_hold(vm::NEWEST);
}

fn assert_all_checks_hold(kernel: Kernel) {
    let Some(report) = report(kernel) else { return };
    let failures: Vec<_> = report.failures().collect();
    assert!(failures.is_empty(), "on Linux {}: {failures:#?}", report.release);
}

/// Each kernel is booted once, by whichever test asks first. `None`: an allowed skip, printed.
fn report(kernel: Kernel) -> Option<&'static Report> {
    type Outcome = OnceLock<Result<Option<Report>, String>>;
    static OUTCOMES: Mutex<BTreeMap<Kernel, &'static Outcome>> = Mutex::new(BTreeMap::new());
    let outcome = *OUTCOMES
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .entry(kernel)
        .or_insert_with(|| Box::leak(Box::default()));
    match outcome.get_or_init(|| boot(kernel)) {
        Ok(report) => report.as_ref(),
        Err(error) => panic!("{error}"),
    }
}

fn boot(kernel: Kernel) -> Result<Option<Report>, String> {
    let _turn = Turn::wait();
    match vm::boot(kernel).map_err(|error| format!("{error:#}"))? {
        Ok(report) => Ok(Some(report)),
        Err(skip) => {
            print(&format!("SKIP kernels::{}: {skip}\n", kernel.name));
            Ok(None)
        }
    }
}

/// Past the test harness, which swallows what a passing test prints.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).expect("standard output");
}

/// The right to run one of the guests.
struct Turn;

static RUNNING: Mutex<u32> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

impl Turn {
    fn wait() -> Self {
        let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut running = ENDED
            .wait_while(running, |running| *running >= GUESTS_AT_ONCE)
            .unwrap_or_else(PoisonError::into_inner);
        *running += 1;
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        ENDED.notify_one();
    }
}
