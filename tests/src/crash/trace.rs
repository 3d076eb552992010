//! What the process `crasher` does: runs a program, stops it at the calls in question, kills it.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    mem::MaybeUninit,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{self, Command, ExitCode},
    sync::atomic::{AtomicI32, Ordering},
};

use anyhow::{Context as _, Result, bail};
use nix::{
    errno::Errno,
    sys::{
        ptrace,
        signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

use super::{
    CALLS, CRASHED, LEFT, PROGRAM,
    calls::{self, about},
    write,
};

/// Its arguments are the directory of its guard, a program, and that one's arguments.
pub fn trace(mut arguments: impl Iterator<Item = String>) -> Result<ExitCode> {
    let directory = PathBuf::from(arguments.next().context("no directory")?);
    let mut command = Command::new(arguments.next().context("no program")?);
    command.args(arguments);
    let filter = filter();
    let prepare = move || {
        ptrace::traceme()?;
        only_at(&filter)
    };
    // SAFETY: between fork and exec this makes two system calls and allocates nothing.
    unsafe { command.pre_exec(prepare) };
    let child = command.spawn().context("cannot run the program")?;
    let program = Pid::from_raw(child.id().cast_signed());
    waitpid(program, None).context("the program does not stop at its start")?;
    let options = ptrace::Options::PTRACE_O_TRACESECCOMP
        | ptrace::Options::PTRACE_O_TRACECLONE
        | ptrace::Options::PTRACE_O_EXITKILL;
    ptrace::setoptions(program, options).context("cannot trace the program")?;
    write(&directory.join(PROGRAM), &program.to_string())?;
    pass_on(program)?;
    go_on(program, None)?;
    follow(program, &directory)
}

/// Follows the program until it has ended, all its threads with it.
fn follow(program: Pid, directory: &Path) -> Result<ExitCode> {
    let mut is_killed = false;
    loop {
        match waitpid(None, Some(WaitPidFlag::__WALL)) {
            Ok(WaitStatus::PtraceEvent(thread, _, libc::PTRACE_EVENT_SECCOMP)) => {
                if !is_killed && is_the_end(thread, directory)? {
                    is_killed = true;
                    // Entering a call: it is not made any more.
                    kill(program, Signal::SIGKILL).context("cannot kill the program")?;
                }
                go_on(thread, None)?;
            }
            Ok(WaitStatus::PtraceEvent(thread, ..)) => go_on(thread, None)?,
            // A thread's first stop, or the exec's.
            Ok(WaitStatus::Stopped(thread, Signal::SIGSTOP | Signal::SIGTRAP)) => {
                go_on(thread, None)?;
            }
            Ok(WaitStatus::Stopped(thread, signal)) => go_on(thread, Some(signal))?,
            Ok(WaitStatus::Exited(thread, code)) if thread == program => process::exit(code),
            Ok(WaitStatus::Signaled(thread, Signal::SIGKILL, _)) if thread == program => {
                process::exit(CRASHED)
            }
            Ok(WaitStatus::Signaled(thread, signal, _)) if thread == program => {
                bail!("the program ended by {signal}")
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error).context("cannot wait for the program"),
        }
    }
}

/// Counts the call that this thread is about to make. Returns whether it is the one not to be made.
fn is_the_end(thread: Pid, directory: &Path) -> Result<bool> {
    let info = match call(thread) {
        Err(Errno::ESRCH) => return Ok(false),
        info => info.context("cannot ask which call it is")?,
    };
    // SAFETY: at a stop by the filter this is the member that the kernel has filled.
    let call = unsafe { info.u.seccomp };
    let Some(about) = about(thread, call.nr, call.args) else { return Ok(false) };
    let mut calls = OpenOptions::new().append(true).create(true).open(directory.join(CALLS))?;
    calls.write_all(format!("{about}\n").as_bytes())?;
    let left = fs::read_to_string(directory.join(LEFT)).unwrap_or_default();
    let Ok(left) = left.parse::<usize>() else { return Ok(false) };
    write(&directory.join(LEFT), &left.saturating_sub(1).to_string())?;
    Ok(left == 1)
}

/// The call at which a thread has stopped. (That of nix 0.30 does not say how long its answer may be,
/// and gets none.)
fn call(thread: Pid) -> nix::Result<libc::ptrace_syscall_info> {
    let mut info = MaybeUninit::<libc::ptrace_syscall_info>::zeroed();
    let size = size_of::<libc::ptrace_syscall_info>();
    let request = libc::PTRACE_GET_SYSCALL_INFO;
    // SAFETY: the kernel writes at most `size` bytes there.
    let result = unsafe { libc::ptrace(request, thread.as_raw(), size, info.as_mut_ptr()) };
    Errno::result(result)?;
    // SAFETY: plain data; what the kernel has not written is zero.
    Ok(unsafe { info.assume_init() })
}

/// Lets a thread go on; one that has been killed meanwhile does not.
fn go_on(thread: Pid, signal: Option<Signal>) -> Result<()> {
    match ptrace::cont(thread, signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(error).context("cannot let the program go on"),
    }
}

/// Passes SIGTERM on to the program.
fn pass_on(program: Pid) -> Result<()> {
    static PROGRAM: AtomicI32 = AtomicI32::new(0);
    extern "C" fn terminated(_: libc::c_int) {
        // The call is async-signal-safe; a program that has ended needs no signal.
        let _ = kill(Pid::from_raw(PROGRAM.load(Ordering::Relaxed)), Signal::SIGTERM);
    }
    PROGRAM.store(program.as_raw(), Ordering::Relaxed);
    let handler = SigHandler::Handler(terminated);
    let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler loads an atomic and calls kill(2), both of which a handler may.
    unsafe { sigaction(Signal::SIGTERM, &action) }.context("cannot handle SIGTERM")?;
    Ok(())
}

/// Classic BPF that stops the program at the calls in question, and at no other.
fn filter() -> Vec<libc::sock_filter> {
    let statement = |code: u32, k: u32, jt: u8| libc::sock_filter {
        code: u16::try_from(code).expect("16 bits"),
        jt,
        jf: 0,
        k,
    };
    // The number is the first member of `seccomp_data`.
    let mut filter = vec![statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0)];
    let count = calls::CALLS.len();
    for (at, (call, _)) in calls::CALLS.iter().enumerate() {
        let call = u32::try_from(*call).expect("a number of a call");
        // The jump is over those that follow, and over the leave to go on.
        let skip = u8::try_from(count - at).expect("few calls");
        filter.push(statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, call, skip));
    }
    let end = libc::BPF_RET | libc::BPF_K;
    filter.push(statement(end, libc::SECCOMP_RET_ALLOW, 0));
    filter.push(statement(end, libc::SECCOMP_RET_TRACE, 0));
    filter
}

fn only_at(filter: &[libc::sock_filter]) -> io::Result<()> {
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).map_err(io::Error::other)?,
        filter: filter.as_ptr().cast_mut(),
    };
    let mode = libc::SECCOMP_MODE_FILTER;
    // SAFETY: the kernel copies the program, which lives through the call.
    let result = unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
