//! A replica of every Service: a node whose servers are real programs.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use redirector_tests::{cgroup::Cgroup, fixture::Site, names::Directory, place::Place};

use super::{
    fixture,
    services::{self, Service},
    tools,
};

const LONGEST_START: Duration = Duration::from_secs(20);

/// Dropping it kills the servers.
pub struct Replica {
    number: u8,
    servers: Vec<Child>,
    cgroup: Cgroup,
    directory: Directory,
}

impl Replica {
    /// Starts the servers and waits for none.
    pub fn start(site: &Site, number: u8) -> Self {
        let cgroup = Cgroup::new("replica").expect("a cgroup");
        let directory = Directory::new("replica").expect("a directory");
        let mut replica = Self { number, servers: Vec::new(), cgroup, directory };
        for service in services::all() {
            for (server, line) in service.servers.iter().enumerate() {
                let own = replica.own(service, server);
                replica.servers.push(replica.serve(site, service, line, &own));
            }
        }
        replica
    }

    /// Waits until all servers listen.
    pub fn wait(&self, site: &Site) {
        let node = fixture::node(&site.lab, self.number);
        let deadline = Instant::now() + LONGEST_START;
        for service in services::all() {
            let log = || fs::read_to_string(self.own(service, 0).join("log")).unwrap_or_default();
            for address in [node.socket4(service.replica_port), node.socket6(service.replica_port)]
            {
                while !node.netns().run(|| listens(address, service.is_tcp)) {
                    assert!(Instant::now() < deadline, "{} at {address}: {}", service.name, log());
                    thread::sleep(Duration::from_millis(10));
                }
            }
        }
    }

    fn serve(&self, site: &Site, service: &Service, line: &str, own: &Path) -> Child {
        let node = fixture::node(&site.lab, self.number);
        fs::create_dir(own).expect("a directory");
        let log = File::create(own.join("log")).expect("a log");
        let mut command = Command::new("sh");
        command
            .args(["-c", line])
            .env("PATH", tools::path())
            .env("N", self.number.to_string())
            .env("IP4", node.ipv4().to_string())
            .env("IP6", node.ipv6().to_string())
            .env("PORT", service.replica_port.to_string())
            .env("DIR", site.directory.path())
            .env("OWN", own)
            .current_dir(own)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log);
        Place::new(node.netns(), &self.cgroup).spawn(command).expect("a server")
    }

    fn own(&self, service: &Service, server: usize) -> PathBuf {
        self.directory.path().join(format!("{}-{server}", service.name))
    }

    /// Kills all of them at once, also what they have forked. The node refuses from now on.
    pub fn kill(&mut self) {
        loop {
            let pids = self.cgroup.processes().expect("its processes");
            if pids.is_empty() {
                return;
            }
            for pid in pids {
                // One that has ended by itself is no error.
                let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
            }
            for server in &mut self.servers {
                let _ = server.wait();
            }
        }
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.kill();
    }
}

/// In the caller's network. A UDP server is seen in the kernel's list: what it answers is its own.
fn listens(address: SocketAddr, is_tcp: bool) -> bool {
    if is_tcp {
        return TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok();
    }
    let list = if address.is_ipv4() { "udp" } else { "udp6" };
    let list = fs::read_to_string(format!("/proc/thread-self/net/{list}")).expect("a list");
    list.contains(&format!(":{:04X} ", address.port()))
}
