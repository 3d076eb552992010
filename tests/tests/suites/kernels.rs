//! The kernel matrix: the real object loads and redirects on the oldest and newest kernels.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::Command;
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};

use redirector_tests::bpffs::Bpffs;
use redirector_tests::cgroup::Cgroup;
use redirector_tests::programs;
use redirector_tests::size::sized;
use redirector_tests::vm::{
    self, InstructionTable, Kernel, Outcome as End, Report, StepTable, contradictions,
};

type Outcome = Result<Option<Report>, String>;

/// Two cores, and each guest keeps one busy.
const GUESTS_AT_ONCE: u32 = 2;

/// What the verifier may process per program, on any kernel.
const MOST_INSTRUCTIONS: u64 = 10_000;

/// The programs without which nothing is redirected. There may be more.
const HOOKS: [&str; 8] = [
    "rdr_connect4",
    "rdr_connect6",
    "rdr_sendmsg4",
    "rdr_sendmsg6",
    "rdr_recvmsg4",
    "rdr_recvmsg6",
    "rdr_peername4",
    "rdr_peername6",
];

/// Findings of `redirector check` that 5.10 lacks, and every later kernel has: a program may choose
/// the error (5.18), and learns the network namespace of a listener or of a client that failed (5.15).
const LACKED_BY_5_10: [&str; 3] = ["refusals", "local listeners", "witnesses"];

/// When backends fail: at least so many steps are tried on each kernel.
const STEPS: usize = 12;

#[test]
fn linux_5_10() {
    assert_all_holds(vm::LINUX_5_10, &LACKED_BY_5_10);
}

#[test]
fn linux_6_1() {
    assert_all_holds(vm::LINUX_6_1, &[]);
}

#[test]
fn linux_6_12() {
    assert_all_holds(vm::LINUX_6_12, &[]);
}

#[test]
fn linux_newest() {
    assert_all_holds(vm::NEWEST, &[]);
}

#[test]
fn what_each_kernel_does_when_backends_fail() {
    let mut table = StepTable::default();
    for kernel in kernels() {
        if let Ok(Some(report)) = outcome(*kernel) {
            table.add(report);
            let said = contradictions(&report.findings, &report.steps);
            assert!(said.is_empty(), "on Linux {}: {said:#?}", report.release);
        }
    }
    print(&table.to_string());
}

#[test]
fn every_program_stays_small_for_every_verifier() {
    let mut table = InstructionTable::default();
    for kernel in kernels() {
        // A kernel that failed has its own test to say so; the table is about the others.
        if let Ok(Some(report)) = outcome(*kernel) {
            table.add(report);
        }
    }
    table.add_this_kernel(&verified_here());
    print(&table.to_string());
    let missing = table.missing(&HOOKS);
    assert!(missing.is_empty(), "no instructions were reported for {missing:?}");
    let excess = table.above(MOST_INSTRUCTIONS);
    assert!(excess.is_empty(), "more than {MOST_INSTRUCTIONS} instructions: {excess:#?}");
}

/// `lacks`: findings of `redirector check` whose steps are absent there; all others work.
fn assert_all_holds(kernel: Kernel, lacks: &[&str]) {
    let report = match outcome(kernel) {
        Ok(Some(report)) => report,
        Ok(None) => return,
        Err(error) => panic!("{error}"),
    };
    let failures: Vec<_> = report.failures().collect();
    assert!(failures.is_empty(), "on Linux {}: {failures:#?}", report.release);
    let wrong: Vec<_> = report
        .steps
        .iter()
        .filter(|step| {
            let is_lacking = step.finding.as_deref().is_some_and(|what| lacks.contains(&what));
            step.outcome != if is_lacking { End::Absent } else { End::Works }
        })
        .collect();
    assert!(wrong.is_empty(), "on Linux {}: {wrong:#?}", report.release);
    let steps = report.steps.len();
    assert!(steps >= STEPS, "on Linux {}: only {steps} steps", report.release);
}

/// What `load --verifier-stats` prints on the kernel that this runs on.
fn verified_here() -> String {
    let (cgroup, bpffs) = (Cgroup::new("verified").expect("a cgroup"), Bpffs::mount());
    let bpffs = bpffs.expect("a bpffs");
    let redirector = |command: &str, arguments: &[&str]| {
        let mut run = Command::new(programs::redirector().expect("the redirector"));
        run.arg(command).arg("--pin-path").arg(bpffs.pin_path()).args(arguments);
        run.output().expect("it runs")
    };
    let cgroup = cgroup.path().to_str().expect("a path in UTF-8");
    let loaded = redirector("load", &["--cgroup", cgroup, "--verifier-stats"]);
    let unloaded = redirector("unload", &[]);
    assert!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
    assert!(unloaded.status.success(), "{}", String::from_utf8_lossy(&unloaded.stderr));
    String::from_utf8(loaded.stdout).expect("text")
}

/// Each kernel is booted once, by whichever test asks first. `None`: an allowed skip, printed.
fn outcome(kernel: Kernel) -> &'static Outcome {
    static OUTCOMES: Mutex<BTreeMap<Kernel, &'static OnceLock<Outcome>>> =
        Mutex::new(BTreeMap::new());
    let outcome = *OUTCOMES
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .entry(kernel)
        .or_insert_with(|| Box::leak(Box::default()));
    outcome.get_or_init(|| boot(kernel))
}

/// The oldest and the newest, or all.
fn kernels() -> &'static [Kernel] {
    sized(&vm::ALL, &[vm::LINUX_5_10, vm::NEWEST])
}

fn boot(kernel: Kernel) -> Outcome {
    if !kernels().contains(&kernel) {
        print(&format!("SKIP kernels::{}: only `cargo xtask test --full` boots it\n", kernel.name));
        return Ok(None);
    }
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
