//! The pods with an agent on their node: what they dial in its cgroup is redirected.

use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use redirector_tests::{agent::Agent, cgroup::Entered};

use super::{
    held::{Held, Transport},
    pods::{BACKENDS, Family, PORT, Pods},
};

/// Where every service answers.
pub(crate) const DIALLED: u16 = 80;

/// Each backend is a service of its own, so that a test knows where a connection goes.
pub(crate) struct Fixture {
    // The agent first: it unloads from what the others hold.
    pub(crate) agent: Agent,
    pub(crate) pods: Pods,
}

impl Fixture {
    /// With these policies for the services over TCP and over UDP.
    pub(crate) fn new(tcp: &str, udp: &str) -> Self {
        let pods = Pods::new();
        pods.site.write(&services(&pods, tcp, udp));
        Self { agent: Agent::start(pods.site.options()).expect("an agent"), pods }
    }

    /// Writes a file in which the UDP services are these alone: each by its number, with its backends.
    pub(crate) fn list(&self, services: &[(usize, &[usize])]) {
        let mut text = String::from("node: {name: agent}\nservices:\n");
        for (service, backends) in services {
            let backends = backends.iter().map(|number| self.pods.backend(*number));
            let addresses = backends.flat_map(|node| [node.socket4(PORT), node.socket6(PORT)]);
            let listed: String =
                addresses.map(|address| format!("{{address: '{address}'}}, ")).collect();
            let (v4, v6) = frontends(*service);
            let _ = writeln!(
                text,
                "- name: resets/udp-{service}\n  \
                 frontends: ['{v4}:{DIALLED}/udp', '[{v6}]:{DIALLED}/udp']\n  \
                 backends: [{listed}]"
            );
        }
        self.pods.site.write(&text);
    }

    /// From now on this process's new sockets are redirected.
    pub(crate) fn enter(&self) -> Entered {
        self.pods.site.cgroup.enter().expect("a place in the cgroup")
    }

    /// A socket that dials the service.
    pub(crate) fn dial(
        &self,
        pod: usize,
        service: usize,
        family: Family,
        transport: Transport,
    ) -> Held {
        let (v4, v6) = frontends(service);
        let address: IpAddr = match family {
            Family::V4 => v4.into(),
            Family::V6 => v6.into(),
            Family::Mapped => v4.to_ipv6_mapped().into(),
        };
        let address = SocketAddr::new(address, DIALLED);
        Held::open((pod, self.pods.pod(pod).netns()), (service, address), transport)
    }

    /// A socket that dials the backend itself.
    pub(crate) fn dial_directly(
        &self,
        pod: usize,
        backend: usize,
        family: Family,
        transport: Transport,
    ) -> Held {
        let address = self.pods.address(backend, family);
        Held::open((pod, self.pods.pod(pod).netns()), (backend, address), transport)
    }
}

pub(crate) fn frontends(service: usize) -> (Ipv4Addr, Ipv6Addr) {
    let number = service as u16 + 1;
    let v6 = Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 1, number);
    (Ipv4Addr::new(10, 96, 1, number as u8), v6)
}

/// All of one owner, so that silence over TCP speaks for UDP. Of UDP the next backend stands by, in
/// another zone: only then it may be reset.
fn services(pods: &Pods, tcp: &str, udp: &str) -> String {
    let mut text = String::from("node: {name: agent, zone: a, region: eu}\nservices:\n");
    for service in 0..BACKENDS {
        let (v4, v6) = frontends(service);
        for (protocol, policy) in [("tcp", tcp), ("udp", udp)] {
            let _ = write!(
                text,
                "- name: resets/{protocol}-{service}\n  \
                 frontends: ['{v4}:{DIALLED}/{protocol}', '[{v6}]:{DIALLED}/{protocol}']\n  \
                 policy: {{{policy}}}\n  backends:\n"
            );
            let mut backends = vec![(service, "a")];
            if protocol == "udp" {
                backends.push(((service + 1) % BACKENDS, "b"));
            }
            for (number, zone) in backends {
                let node = pods.backend(number);
                for address in [node.socket4(PORT), node.socket6(PORT)] {
                    let _ = writeln!(
                        text,
                        "  - {{address: '{address}', node: b{number}, zone: {zone}, region: eu}}"
                    );
                }
            }
        }
    }
    text
}
