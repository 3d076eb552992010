//! Starts child processes inside a network namespace and a cgroup, and never leaves one behind.

use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    os::{
        fd::AsFd as _,
        unix::process::{CommandExt as _, parent_id},
    },
    process::{Child, Command},
    sync::{Mutex, OnceLock, PoisonError, mpsc},
    thread,
};

use anyhow::{Context as _, Result};
use nix::{
    sched::{CloneFlags, setns},
    sys::{prctl, signal::Signal},
};

use crate::{cgroup::Cgroup, netns::Netns};

/// Where a child process runs. What is `None` is as for this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct Place<'a> {
    /// Its network.
    pub netns: Option<&'a Netns>,
    /// Its cgroup: there, its sockets are redirected.
    pub cgroup: Option<&'a Cgroup>,
}

impl<'a> Place<'a> {
    /// A place in a namespace, in this process's cgroup.
    #[must_use]
    pub fn netns(netns: &'a Netns) -> Self {
        Self { netns: Some(netns), cgroup: None }
    }

    /// A place in a namespace and in a cgroup.
    #[must_use]
    pub fn new(netns: &'a Netns, cgroup: &'a Cgroup) -> Self {
        Self { netns: Some(netns), cgroup: Some(cgroup) }
    }

    /// Starts `command` here. The kernel kills it when this process ends, however it ends; a
    /// Ctrl-C on the terminal does not reach it.
    pub fn spawn(self, mut command: Command) -> Result<Child> {
        let program = command.get_program().to_owned();
        let netns = self.netns.map(Netns::shared_fd);
        let mut members = match self.cgroup {
            Some(cgroup) => {
                let path = cgroup.path().join("cgroup.procs");
                let file = OpenOptions::new().write(true).open(&path);
                Some(file.with_context(|| format!("cannot open {}", path.display()))?)
            }
            None => None,
        };
        let parent = std::process::id();
        let prepare = move || -> io::Result<()> {
            prctl::set_pdeathsig(Signal::SIGKILL)?;
            if parent_id() != parent {
                return Err(io::Error::other("the parent process has ended"));
            }
            if let Some(members) = &mut members {
                members.write_all(b"0")?;
            }
            if let Some(netns) = &netns {
                setns(netns.as_fd(), CloneFlags::CLONE_NEWNET)?;
            }
            Ok(())
        };
        // SAFETY: between fork and exec this makes four system calls on descriptors that were
        // opened before; it allocates nothing on the way to success and takes no lock.
        unsafe { command.pre_exec(prepare) };
        command.process_group(0);
        on_lasting_thread(move || command.spawn())
            .with_context(|| format!("cannot run {}", program.to_string_lossy()))
    }
}

/// A child process. Dropping it kills the process.
#[derive(Debug)]
pub struct Process(pub Child);

impl Process {
    /// Kills it (SIGKILL) and waits for its end.
    pub fn kill(&mut self) {
        // Both fail only for a process that has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The parent-death signal comes when the *thread* ends that forked. This one never ends.
fn on_lasting_thread(
    job: impl FnOnce() -> io::Result<Child> + Send + 'static,
) -> io::Result<Child> {
    type Job = Box<dyn FnOnce() + Send>;
    static THREAD: OnceLock<Mutex<mpsc::Sender<Job>>> = OnceLock::new();
    let jobs = THREAD.get_or_init(|| {
        let (jobs, inbox) = mpsc::channel::<Job>();
        thread::spawn(move || inbox.into_iter().for_each(|job| job()));
        Mutex::new(jobs)
    });
    let (result, outcome) = mpsc::channel();
    let job = Box::new(move || {
        // Its receiver waits below.
        let _ = result.send(job());
    });
    let gone = || io::Error::other("the thread that starts processes is gone");
    jobs.lock().unwrap_or_else(PoisonError::into_inner).send(job).map_err(|_| gone())?;
    outcome.recv().map_err(|_| gone())?
}
