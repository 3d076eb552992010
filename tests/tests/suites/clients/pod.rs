//! A client in a pod of its own, for one family: its processes, and how it dials once.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use redirector_tests::{
    fixture::Site,
    lab::Node,
    names::Directory,
    place::{Place, Process},
};

use super::{
    fixture,
    kinds::{Answer, Client, Run},
    services::answerer,
    tools,
};

/// JVMs start together.
const LONGEST_START: Duration = Duration::from_secs(15);
/// Seconds. Clients have limits of their own, and this ends one that has none.
const LONGEST_DIAL: &str = "8";
/// Characters of what it says that are kept.
const SAID: usize = 100;

/// Dropping it kills what runs in it.
pub struct Pod<'a> {
    client: &'static Client,
    is_ipv6: bool,
    site: &'a Site,
    node: &'a Node,
    directory: Directory,
    /// The one that goes on running.
    running: Mutex<Option<Running>>,
    made: AtomicUsize,
}

struct Running {
    _child: Process,
    /// Of one that dials for each line that it reads.
    lines: Option<(ChildStdin, BufReader<ChildStdout>)>,
}

/// Two pods for each client, the one for IPv4 first. Each has been answered.
pub fn all<'a>(clients: &[&'static Client], site: &'a Site) -> Vec<Pod<'a>> {
    let families = clients.iter().flat_map(|client| [(*client, false), (*client, true)]);
    let pods: Vec<_> = families
        .zip(fixture::pods(site))
        .map(|((client, is_ipv6), node)| Pod::start(client, is_ipv6, site, node))
        .collect();
    thread::scope(|scope| {
        for pod in &pods {
            scope.spawn(|| pod.wait());
        }
    });
    pods
}

impl<'a> Pod<'a> {
    fn start(client: &'static Client, is_ipv6: bool, site: &'a Site, node: &'a Node) -> Self {
        let directory = Directory::new("pod").expect("a directory");
        let (running, made) = (Mutex::default(), AtomicUsize::new(0));
        let pod = Self { client, is_ipv6, site, node, directory, running, made };
        let (line, speaks) = match client.run {
            Run::Each(_) => return pod,
            Run::Lines(line) => (line, true),
            Run::Through(line, _) => (line, false),
        };
        let mut command = pod.command(&["sh", "-c", line]);
        if speaks {
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
        }
        let mut child = Process(pod.spawn(command));
        let lines = child.0.stdin.take().zip(child.0.stdout.take().map(BufReader::new));
        *pod.running.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Running { _child: child, lines });
        pod
    }

    /// The client's and the family's names.
    pub fn name(&self) -> String {
        format!("{} (IPv{})", self.client.name, if self.is_ipv6 { 6 } else { 4 })
    }

    /// Dials once. Which replica has answered, or 0 where the client cannot tell; else what the client
    /// has written.
    pub fn dial(&self) -> Result<u8, String> {
        let text = match self.client.run {
            Run::Each(line) | Run::Through(_, line) => self.run(line),
            Run::Lines(_) => Ok(self.ask()),
        };
        self.made.fetch_add(1, Ordering::Relaxed);
        let text = text?;
        match (answerer(&text), &self.client.answer) {
            (_, Answer::Succeeds) => Ok(0),
            (Some(replica), Answer::Names) => Ok(replica),
            (None, Answer::Names) => Err(text),
        }
    }

    /// Its dials so far, lost or not.
    pub fn made(&self) -> usize {
        self.made.load(Ordering::Relaxed)
    }

    /// Until its programs have started and are answered.
    fn wait(&self) {
        let deadline = Instant::now() + LONGEST_START;
        while let Err(error) = self.dial() {
            let log = || self.log();
            assert!(Instant::now() < deadline, "{}: {error}\n{}", self.name(), log());
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn run(&self, line: &str) -> Result<String, String> {
        let mut command = self.command(&["timeout", LONGEST_DIAL, "sh", "-c", line]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = self.spawn(command).wait_with_output().expect("its output");
        let text = [&*output.stdout, &output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let text: String = text.trim().replace('\n', " ").chars().take(SAID).collect();
        if output.status.success() { Ok(text) } else { Err(format!("{}: {text}", output.status)) }
    }

    /// The process that goes on running.
    fn ask(&self) -> String {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = running.as_mut().and_then(|running| running.lines.as_mut());
        let (orders, replies) = lines.expect("a process that dials for each line");
        let mut reply = String::new();
        let asked = writeln!(orders).and_then(|()| orders.flush());
        let replied = asked.and_then(|()| replies.read_line(&mut reply));
        assert!(
            replied.is_ok_and(|length| length > 0),
            "{} has ended: {}",
            self.name(),
            self.log()
        );
        reply.trim().to_owned()
    }

    /// What the process that goes on running has complained about last.
    fn log(&self) -> String {
        let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
        log.lines().next_back().unwrap_or_default().to_owned()
    }

    fn command(&self, words: &[&str]) -> Command {
        let Self { client, is_ipv6, site, node, directory, .. } = self;
        let service = client.dials[0].addresses()[usize::from(*is_ipv6)];
        let own = if *is_ipv6 { node.socket6(0) } else { node.socket4(0) };
        // As in a URL.
        let host = |text: String| text.rsplit_once(':').map(|(host, _)| host.to_owned());
        let log = File::options().create(true).append(true).open(directory.path().join("log"));
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .env("PATH", tools::path())
            .env("IP", service.ip().to_string())
            .env("PORT", service.port().to_string())
            .env("HOST", host(service.to_string()).expect("a host"))
            .env("OWN_IP", own.ip().to_string())
            .env("OWN_HOST", host(own.to_string()).expect("a host"))
            .env("FAMILY", if *is_ipv6 { "six" } else { "four" })
            .env("DIR", site.directory.path())
            .env("OWN", directory.path())
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.expect("a log"));
        command
    }

    fn spawn(&self, command: Command) -> Child {
        Place::new(self.node.netns(), &self.site.cgroup).spawn(command).expect("a client")
    }
}
