//! Pod-like network namespaces, each with a process that holds it, and backends on other nodes.

use std::net::SocketAddr;

use redirector_tests::{fixture::Site, lab::Node, place::Process};

use super::{echo::Echo, reach::pause};

pub(crate) const PODS: usize = 5;
pub(crate) const BACKENDS: usize = 4;
/// Also other suites have nodes with these addresses; none has this port, so that nothing but this
/// suite's sockets can be hit.
pub(crate) const PORT: u16 = 17_917;

/// Five pods and four backends on one network.
pub(crate) struct Pods {
    pub(crate) backends: Vec<Echo>,
    pauses: Vec<Process>,
    pub(crate) site: Site,
}

/// How a client writes a backend's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
    Mapped,
}

impl Pods {
    pub(crate) fn new() -> Self {
        let nodes = ["agent", "b0", "b1", "b2", "b3", "p0", "p1", "p2", "p3", "p4"];
        let site = Site::new("resets", &nodes).with_maps(&[]);
        let backends = (0..BACKENDS)
            .map(|number| {
                let node = site.lab.node(&format!("b{number}"));
                Echo::start(node.netns(), &[node.socket4(PORT), node.socket6(PORT)])
            })
            .collect();
        let mut pods = Self { backends, pauses: Vec::new(), site };
        for number in 0..PODS {
            pods.pauses.push(pause(pods.pod(number).netns()));
        }
        pods
    }

    pub(crate) fn pod(&self, number: usize) -> &Node {
        self.site.lab.node(&format!("p{number}"))
    }

    pub(crate) fn backend(&self, number: usize) -> &Node {
        self.site.lab.node(&format!("b{number}"))
    }

    pub(crate) fn address(&self, number: usize, family: Family) -> SocketAddr {
        let node = self.backend(number);
        match family {
            Family::V4 => node.socket4(PORT),
            Family::V6 => node.socket6(PORT),
            Family::Mapped => SocketAddr::new(node.ipv4().to_ipv6_mapped().into(), PORT),
        }
    }
}
