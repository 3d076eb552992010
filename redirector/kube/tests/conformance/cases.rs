//! The cases: pure data, so that other suites can run them too ([`Script::run`](super::world::Script)
//! reads them).

/// One case.
#[derive(Debug)]
pub struct Case {
    /// Where kube-proxy has the rule, below `pkg/proxy/`.
    pub source: &'static str,
    /// The rule.
    pub rule: &'static str,
    /// What there is.
    pub cluster: &'static str,
    /// What the core is told, a line for each service port, then the reasons of notices after `!`.
    pub told: &'static str,
}

const fn case(
    source: &'static str,
    rule: &'static str,
    cluster: &'static str,
    told: &'static str,
) -> Case {
    Case { source, rule, cluster, told }
}

pub const CASES: &[Case] = &[
    case(
        "topology.go CategorizeEndpoints",
        "a ready endpoint is chosen",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2/b +ready +serving -terminating",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "endpointslicecache.go addEndpoints",
        "no condition at all is ready",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2/b",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "endpointslicecache.go addEndpoints",
        "ready alone is enough",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2/b +ready",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "topology.go CategorizeEndpoints",
        "not ready and nothing else said is not listed: serving alone does not help",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2/b -ready",
        "shop/web:http 10.96.0.1:80/tcp =>",
    ),
    case(
        "topology.go CategorizeEndpoints",
        "not ready and not serving is not listed",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2/b -ready -serving -terminating",
        "shop/web:http 10.96.0.1:80/tcp =>",
    ),
    case(
        "topology.go CategorizeEndpoints",
        "serving, not ready and not terminating is not listed",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2/b -ready +serving -terminating",
        "shop/web:http 10.96.0.1:80/tcp =>",
    ),
    case(
        "topology.go CategorizeEndpoints",
        "serving and terminating is used when nobody is ready",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2/b -ready +serving +terminating",
        "shop/web:http 10.96.0.1:80/tcp => T 10.1.0.1:8080",
    ),
    case(
        "endpointslicecache.go addEndpoints",
        "terminating with serving not given counts as serving",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2/b -ready +terminating",
        "shop/web:http 10.96.0.1:80/tcp => T 10.1.0.1:8080",
    ),
    case(
        "topology.go CategorizeEndpoints",
        "terminating and not serving is not listed",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2/b -ready -serving +terminating",
        "shop/web:http 10.96.0.1:80/tcp =>",
    ),
    case(
        "endpointslicecache.go addEndpoints",
        "ready while terminating (publishNotReadyAddresses) is ready",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2/b +ready +serving +terminating",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "endpointslicecache.go addEndpoints",
        "ready while not serving is ready",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2/b +ready -serving",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "endpointslicecache.go addEndpoints",
        "terminating with ready not given is ready",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2/b +terminating",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "endpointslicecache.go addEndpoints",
        "ready not given and not serving is ready",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2/b -serving",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "topology.go CategorizeEndpoints",
        "ready ones come before those that terminate",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2/b
  10.1.0.2@n2/b -ready +serving +terminating",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 T 10.1.0.2:8080",
    ),
    case(
        "topology.go CategorizeEndpoints",
        "all ready endpoints are chosen among, wherever they are",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n1/a
  10.1.0.2@n2/a
  10.1.0.3@n3/b
  10.1.0.4",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 10.1.0.2:8080 10.1.0.3:8080 10.1.0.4:8080",
    ),
    case(
        "topology.go CategorizeEndpoints",
        "without endpoints the service stays, and refuses",
        "service web ip=10.96.0.1 port=http:80/TCP",
        "shop/web:http 10.96.0.1:80/tcp =>",
    ),
    case(
        "topology.go CategorizeEndpoints",
        "with an empty slice the service stays, and refuses",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP",
        "shop/web:http 10.96.0.1:80/tcp =>",
    ),
    case(
        "topology.go CategorizeEndpoints",
        "of several that terminate only those that serve are listed",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2 -ready +serving +terminating
  10.1.0.2@n2 -ready -serving +terminating
  10.1.0.3@n2 -ready +serving +terminating",
        "shop/web:http 10.96.0.1:80/tcp => T 10.1.0.1:8080 10.1.0.3:8080",
    ),
    case(
        "topology.go CategorizeEndpoints",
        "a local endpoint is not preferred by itself",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n1/a
  10.1.0.2@n2/b",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 10.1.0.2:8080",
    ),
    case(
        "endpointslicecache.go addEndpoints",
        "only the first address of an endpoint counts",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1,10.1.0.9@n2",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "endpointslicecache.go addEndpoints",
        "an endpoint without an address is none",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  -@n2
  10.1.0.2@n2",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.2:8080",
    ),
    case(
        "endpointslicecache.go addEndpoints",
        "an endpoint without node and zone is one",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "endpointslicecache.go addEndpoints",
        "one endpoint in two slices is one",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2
slice web-2 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "endpointslicecache.go addEndpoints",
        "one endpoint twice in a slice is one",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "endpointslicecache.go addEndpoints",
        "of two the one that does not terminate counts, first in order",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2
slice web-2 of=web v4 port=http:8080/TCP
  10.1.0.1@n3 -ready +serving +terminating",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "endpointslicecache.go addEndpoints",
        "of two the one that does not terminate counts, last in order",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n3 -ready +serving +terminating
slice web-2 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "endpointslicecache.go addEndpoints",
        "a pod address that is used again while its old pod ends is the new pod's",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2 -ready -serving +terminating
  10.1.0.1@n3 +ready +serving -terminating",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "endpointslicecache.go addEndpoints",
        "not terminating counts even where it is not ready",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2 -ready +serving +terminating
  10.1.0.1@n3 -ready -serving -terminating",
        "shop/web:http 10.96.0.1:80/tcp =>",
    ),
    case(
        "endpointslicecache.go addEndpoints (chance there, ready here)",
        "of two that do not terminate the ready one counts",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2 -ready -serving
slice web-2 of=web v4 port=http:8080/TCP
  10.1.0.1@n2 +ready",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "endpointslicecache.go addEndpoints (chance there, ready here)",
        "of two that do not terminate the ready one counts, in any order",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2 +ready
slice web-2 of=web v4 port=http:8080/TCP
  10.1.0.1@n2 -ready -serving",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "endpointslicecache.go addEndpoints (chance there, serving here)",
        "of two that terminate the serving one counts",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2 -ready -serving +terminating
slice web-2 of=web v4 port=http:8080/TCP
  10.1.0.1@n2 -ready +serving +terminating",
        "shop/web:http 10.96.0.1:80/tcp => T 10.1.0.1:8080",
    ),
    case(
        "endpointslicecache.go addEndpoints",
        "one address with two ports are two endpoints",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2
slice web-2 of=web v4 port=http:8081/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 10.1.0.1:8081",
    ),
    case(
        "endpointslicecache.go addEndpoints (chance there, local here)",
        "of two that are alike the local one counts",
        "
service web ip=10.96.0.1 port=http:80/TCP internal=Local
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2
slice web-2 of=web v4 port=http:8080/TCP
  10.1.0.1@n1",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 unreachable",
    ),
    case(
        "endpointslicecache.go addEndpoints",
        "slices of one service are put together",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2
slice web-2 of=web v4 port=http:8080/TCP
  10.1.0.2@n2
slice web-3 of=web v4 port=http:8080/TCP
  10.1.0.3@n2",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 10.1.0.2:8080 10.1.0.3:8080",
    ),
    case(
        "endpointslicecache.go addEndpoints",
        "endpoints that move to another slice stay",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2
  10.1.0.2@n2
later
slice web-2 of=web v4 port=http:8080/TCP
  10.1.0.2@n2
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 10.1.0.2:8080",
    ),
    case(
        "endpointslicecache.go endpointInfoByServicePort",
        "ports are matched by name, not by number",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=other:80/TCP port=http:9999/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:9999",
    ),
    case(
        "endpointslicecache.go endpointInfoByServicePort",
        "a port that no slice names has no endpoint",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=https:8443/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp =>",
    ),
    case(
        "endpointslicecache.go endpointInfoByServicePort",
        "the port without a name is the slice's with an empty one",
        "
service web ip=10.96.0.1 port=:80/TCP
slice web-1 of=web v4 port=:8080/TCP
  10.1.0.1@n2",
        "shop/web 10.96.0.1:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "endpointslicecache.go endpointInfoByServicePort",
        "a slice's port whose name is not given is ignored",
        "
service web ip=10.96.0.1 port=:80/TCP
slice web-1 of=web v4 port=-:8080/TCP
  10.1.0.1@n2",
        "shop/web 10.96.0.1:80/tcp =>",
    ),
    case(
        "endpointslicecache.go endpointInfoByServicePort",
        "a slice's port without a number is ignored",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp =>",
    ),
    case(
        "endpointslicecache.go endpointInfoByServicePort",
        "a slice's port with number 0 is ignored",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:0/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp =>",
    ),
    case(
        "endpointslicecache.go endpointInfoByServicePort",
        "name and protocol must both match",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/UDP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp =>",
    ),
    case(
        "endpointslicecache.go endpointInfoByServicePort",
        "a protocol that is not given is TCP, in the slice",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "servicechangetracker.go serviceToServiceMap",
        "a protocol that is not given is TCP, in the service",
        "
service web ip=10.96.0.1 port=http:80
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "endpointslicecache.go endpointInfoByServicePort",
        "two numbers of one name in one slice are two endpoints",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP port=http:8081/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 10.1.0.1:8081",
    ),
    case(
        "endpointslicecache.go endpointInfoByServicePort",
        "pods may give one named port different numbers",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2
slice web-2 of=web v4 port=http:9090/TCP
  10.1.0.2@n2",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 10.1.0.2:9090",
    ),
    case(
        "endpointslicecache.go endpointInfoByServicePort",
        "each port of a service has its own endpoints",
        "
service web ip=10.96.0.1 port=http:80/TCP port=admin:81/TCP
slice web-1 of=web v4 port=http:8080/TCP port=admin:8081/TCP
  10.1.0.1@n2",
        "
shop/web:admin 10.96.0.1:81/tcp => P 10.1.0.1:8081
shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "endpointslicecache.go endpointInfoByServicePort",
        "one number under two names serves both ports",
        "
service web ip=10.96.0.1 port=http:80/TCP port=alt:8080/TCP
slice web-1 of=web v4 port=http:9000/TCP port=alt:9000/TCP
  10.1.0.1@n2",
        "
shop/web:alt 10.96.0.1:8080/tcp => P 10.1.0.1:9000
shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:9000",
    ),
    case(
        "endpointslicecache.go endpointInfoByServicePort",
        "a slice's port that the service has not is ignored",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP port=metrics:9090/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "servicechangetracker.go serviceToServiceMap",
        "TCP and UDP of one number are two services",
        "
service dns ip=10.96.0.10 port=dns:53/UDP port=dns-tcp:53/TCP
slice dns-1 of=dns v4 port=dns:53/UDP port=dns-tcp:53/TCP
  10.1.0.1@n2",
        "
shop/dns:dns 10.96.0.10:53/udp => P 10.1.0.1:53
shop/dns:dns-tcp 10.96.0.10:53/tcp => P 10.1.0.1:53",
    ),
    case(
        "endpointslicecache.go endpointInfoByServicePort",
        "a port of another protocol than ours in a slice is ignored",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/SCTP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp =>",
    ),
    case(
        "endpointslicecache.go endpointSliceCacheKeys",
        "a slice without the service's label belongs to none",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 v4 port=http:8080/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp =>",
    ),
    case(
        "endpointslicecache.go endpointSliceCacheKeys",
        "a slice with an empty label belongs to none",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of= v4 port=http:8080/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp =>",
    ),
    case(
        "endpointslicecache.go endpointSliceCacheKeys",
        "a slice belongs to its label's service, whatever its own name",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice zebra of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "endpointslicecache.go endpointSliceCacheKeys",
        "a slice belongs to the service of its own namespace",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice other/web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp =>",
    ),
    case(
        "endpointslicecache.go endpointSliceCacheKeys",
        "slices of one name in two namespaces are two",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2
slice other/web-1 of=web v4 port=http:8080/TCP
  10.2.0.1@n2
service other/web ip=10.96.0.2 port=http:80/TCP",
        "
other/web:http 10.96.0.2:80/tcp => P 10.2.0.1:8080
shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "endpointschangetracker.go EndpointSliceUpdate",
        "a slice of names (FQDN) is ignored",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web fqdn port=http:8080/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp =>",
    ),
    case(
        "cmd/kube-proxy/app/server.go ProxyServer.Run (label selector)",
        "a slice with another proxy's label is ignored",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP label=service.kubernetes.io/service-proxy-name:other
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp =>",
    ),
    case(
        "cmd/kube-proxy/app/server.go ProxyServer.Run (label selector)",
        "a slice with the headless label is ignored",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP label=service.kubernetes.io/headless:
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp =>",
    ),
    case(
        "endpointschangetracker.go EndpointSliceUpdate",
        "a slice before its service waits for it",
        "
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2
later
service web ip=10.96.0.1 port=http:80/TCP",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "endpointschangetracker.go EndpointSliceUpdate",
        "a slice that is removed takes its endpoints with it",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2
slice web-2 of=web v4 port=http:8080/TCP
  10.1.0.2@n2
later
remove-slice web-1",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.2:8080",
    ),
    case(
        "endpointschangetracker.go EndpointSliceUpdate",
        "a slice whose label changes goes to the other service",
        "
service web ip=10.96.0.1 port=http:80/TCP
service api ip=10.96.0.2 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2
later
slice web-1 of=api v4 port=http:8080/TCP
  10.1.0.1@n2",
        "
shop/api:http 10.96.0.2:80/tcp => P 10.1.0.1:8080
shop/web:http 10.96.0.1:80/tcp =>",
    ),
    case(
        "endpointschangetracker.go EndpointSliceUpdate",
        "a slice that loses its label belongs to none",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2
later
slice web-1 v4 port=http:8080/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp =>",
    ),
    case(
        "servicechangetracker.go serviceToServiceMap",
        "a service that is removed is gone while its slices stay",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2
later
remove-service web",
        "",
    ),
    case(
        "servicechangetracker.go serviceToServiceMap",
        "a service that comes back finds its slices",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2
later
remove-service web
later
service web ip=10.96.0.1 port=http:80/TCP",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "topology.go topologyModeFromHints",
        "hints for this node's zone narrow the choice",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2/a ~a
  10.1.0.2@n3/b ~b",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 R 10.1.0.2:8080",
    ),
    case(
        "topology.go topologyModeFromHints",
        "hints hold wherever the endpoint itself is",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2/b ~a
  10.1.0.2@n3/a ~b",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 R 10.1.0.2:8080",
    ),
    case(
        "topology.go topologyModeFromHints",
        "one ready endpoint without a hint: all hints are ignored",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2/a ~a
  10.1.0.2@n3/b",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 10.1.0.2:8080",
    ),
    case(
        "topology.go topologyModeFromHints",
        "no hint for this zone: all hints are ignored",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2/b ~b
  10.1.0.2@n3/c ~c",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 10.1.0.2:8080",
    ),
    case(
        "topology.go topologyModeFromHints",
        "a node without a zone ignores hints",
        "
node region=eu addresses=192.168.0.1
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2/a ~a
  10.1.0.2@n3/b ~b",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 10.1.0.2:8080",
    ),
    case(
        "topology.go topologyModeFromHints",
        "an endpoint may be hinted for several zones",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2/b ~a ~b
  10.1.0.2@n3/b ~b",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 R 10.1.0.2:8080",
    ),
    case(
        "topology.go topologyModeFromHints",
        "all hinted for this zone: all are chosen among",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2/a ~a
  10.1.0.2@n3/b ~a",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 10.1.0.2:8080",
    ),
    case(
        "topology.go topologyModeFromHints",
        "an endpoint that is not ready needs no hint",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2/a ~a
  10.1.0.2@n3/b ~b
  10.1.0.3@n3/b -ready -serving",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 R 10.1.0.2:8080",
    ),
    case(
        "topology.go topologyModeFromHints",
        "an endpoint that terminates needs no hint, and stays last",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2/a ~a
  10.1.0.2@n3/b ~b
  10.1.0.3@n3/b -ready +serving +terminating",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 R 10.1.0.2:8080 T 10.1.0.3:8080",
    ),
    case(
        "topology.go topologyModeFromHints",
        "a hint of an endpoint that is not ready does not count for the zone",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2/a ~a -ready -serving
  10.1.0.2@n3/b ~b",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.2:8080",
    ),
    case(
        "topology.go topologyModeFromHints",
        "without ready endpoints hints are not asked",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2/a ~a -ready +serving +terminating
  10.1.0.2@n3/b ~b -ready +serving +terminating",
        "shop/web:http 10.96.0.1:80/tcp => T 10.1.0.1:8080 10.1.0.2:8080",
    ),
    case(
        "topology.go topologyModeFromHints",
        "hints are looked at in all slices together",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2/a ~a
slice web-2 of=web v4 port=http:8080/TCP
  10.1.0.2@n3/b",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 10.1.0.2:8080",
    ),
    case(
        "topology.go topologyModeFromHints",
        "hints are looked at per port",
        "
service web ip=10.96.0.1 port=http:80/TCP port=admin:81/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2/a ~a
  10.1.0.2@n3/b ~b
slice web-2 of=web v4 port=admin:9000/TCP
  10.1.0.1@n2/a ~a
  10.1.0.2@n3/b",
        "
shop/web:admin 10.96.0.1:81/tcp => P 10.1.0.1:9000 10.1.0.2:9000
shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 R 10.1.0.2:8080",
    ),
    case(
        "topology.go availableForTopology",
        "the zone is the Node's, not that of its endpoints",
        "
node zone=b region=eu addresses=192.168.0.1
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n1/a ~a
  10.1.0.2@n3/b ~b",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.2:8080 R 10.1.0.1:8080",
    ),
    case(
        "topology.go topologyModeFromHints",
        "a node that moves to another zone follows the hints there",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2/a ~a
  10.1.0.2@n3/b ~b
later
node zone=b region=eu addresses=192.168.0.1",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.2:8080 R 10.1.0.1:8080",
    ),
    case(
        "topology.go topologyModeFromHints",
        "the only endpoint of this zone becomes unready: hints are ignored",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2/a ~a
  10.1.0.2@n3/b ~b
later
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2/a ~a -ready -serving
  10.1.0.2@n3/b ~b",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.2:8080",
    ),
    case(
        "topology.go topologyModeFromHints",
        "a hint for a zone without a name is no zone's",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2/a ~a
  10.1.0.2@n3/b ~",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 R 10.1.0.2:8080",
    ),
    case(
        "serviceport.go newBaseServiceInfo (trafficDistribution is not read)",
        "trafficDistribution alone narrows nothing, its hints do",
        "
service web ip=10.96.0.1 port=http:80/TCP distribution=PreferClose
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2/a
  10.1.0.2@n3/b",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 10.1.0.2:8080",
    ),
    case(
        "topology.go CategorizeEndpoints (the topology-mode annotation is not read any more)",
        "hints hold whatever the service says",
        "
service web ip=10.96.0.1 port=http:80/TCP label=service.kubernetes.io/topology-mode:Disabled
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2/a ~a
  10.1.0.2@n3/b ~b",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 R 10.1.0.2:8080",
    ),
    case(
        "topology.go topologyModeFromHints",
        "hints for this node narrow the choice to it",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n1/a %n1
  10.1.0.2@n2/a %n2",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 R 10.1.0.2:8080",
    ),
    case(
        "topology.go topologyModeFromHints",
        "hints for nodes come before hints for zones",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n1/a %n1 ~a
  10.1.0.2@n2/a %n2 ~a",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 R 10.1.0.2:8080",
    ),
    case(
        "topology.go topologyModeFromHints",
        "no hint for this node: hints for zones hold",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n3/a %n3 ~a
  10.1.0.2@n2/b %n2 ~b",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 R 10.1.0.2:8080",
    ),
    case(
        "topology.go topologyModeFromHints",
        "one without a hint for a node: hints for zones hold",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n1/a %n1 ~a
  10.1.0.2@n2/a ~a
  10.1.0.3@n3/b ~b",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 10.1.0.2:8080 R 10.1.0.3:8080",
    ),
    case(
        "topology.go topologyModeFromHints",
        "neither for this node nor for this zone: all are chosen among",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n3/b %n3 ~b
  10.1.0.2@n2/c %n2 ~c",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 10.1.0.2:8080",
    ),
    case(
        "topology.go topologyModeFromHints",
        "without the feature gate hints for nodes are ignored",
        "
settings no-node-hints
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n1/a %n1
  10.1.0.2@n2/a %n2",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 10.1.0.2:8080",
    ),
    case(
        "topology.go topologyModeFromHints",
        "without the feature gate hints for zones still hold",
        "
settings no-node-hints
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n1/a %n1 ~a
  10.1.0.2@n2/b %n2 ~b",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 R 10.1.0.2:8080",
    ),
    case(
        "topology.go topologyModeFromHints",
        "an endpoint may be hinted for several nodes",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2/a %n1 %n2
  10.1.0.2@n3/a %n3",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 R 10.1.0.2:8080",
    ),
    case(
        "topology.go topologyModeFromHints",
        "a node without a zone follows hints for nodes",
        "
node region=eu addresses=192.168.0.1
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n1/a %n1
  10.1.0.2@n2/a %n2",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 R 10.1.0.2:8080",
    ),
    case(
        "topology.go CategorizeEndpoints",
        "internalTrafficPolicy Local lists local endpoints only",
        "
service web ip=10.96.0.1 port=http:80/TCP internal=Local
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n1/a
  10.1.0.2@n2/a",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 unreachable",
    ),
    case(
        "iptables/proxier.go syncProxyRules",
        "internalTrafficPolicy Local without a local endpoint is unreachable",
        "
service web ip=10.96.0.1 port=http:80/TCP internal=Local
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.2@n2/a",
        "shop/web:http 10.96.0.1:80/tcp => unreachable",
    ),
    case(
        "topology.go CategorizeEndpoints",
        "Local: local ones that terminate are used when no local one is ready",
        "
service web ip=10.96.0.1 port=http:80/TCP internal=Local
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n1/a -ready +serving +terminating
  10.1.0.2@n2/a",
        "shop/web:http 10.96.0.1:80/tcp => T 10.1.0.1:8080 unreachable",
    ),
    case(
        "topology.go CategorizeEndpoints",
        "Local: a local one that is ready comes before one that terminates",
        "
service web ip=10.96.0.1 port=http:80/TCP internal=Local
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n1/a -ready +serving +terminating
  10.1.0.2@n1/a",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.2:8080 T 10.1.0.1:8080 unreachable",
    ),
    case(
        "topology.go CategorizeEndpoints",
        "Local: a local one that neither is ready nor serves is not listed",
        "
service web ip=10.96.0.1 port=http:80/TCP internal=Local
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n1/a -ready -serving +terminating
  10.1.0.2@n2/a",
        "shop/web:http 10.96.0.1:80/tcp => unreachable",
    ),
    case(
        "topology.go CategorizeEndpoints",
        "Local: hints are not asked",
        "
service web ip=10.96.0.1 port=http:80/TCP internal=Local
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n1/b ~b
  10.1.0.2@n1/a ~a
  10.1.0.3@n2/a ~a",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 10.1.0.2:8080 unreachable",
    ),
    case(
        "endpointslicecache.go isLocal",
        "Local: an endpoint without a node is not local",
        "
service web ip=10.96.0.1 port=http:80/TCP internal=Local
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1
  10.1.0.2@n1",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.2:8080 unreachable",
    ),
    case(
        "endpointslicecache.go isLocal",
        "Local: names of nodes are compared exactly",
        "
service web ip=10.96.0.1 port=http:80/TCP internal=Local
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@N1
  10.1.0.2@n10
  10.1.0.3@n1",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.3:8080 unreachable",
    ),
    case(
        "serviceport.go newBaseServiceInfo",
        "internalTrafficPolicy Cluster is the default",
        "
service web ip=10.96.0.1 port=http:80/TCP internal=Cluster
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n1/a
  10.1.0.2@n2/a",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 10.1.0.2:8080",
    ),
    case(
        "serviceport.go UsesClusterEndpoints",
        "Local: node ports lead to all endpoints and are left to kube-proxy",
        "
service web ip=10.96.0.1 port=http:80/TCP:30080 type=NodePort internal=Local
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n1/a
  10.1.0.2@n2/a",
        "
shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 unreachable
! InternalLocal",
    ),
    case(
        "serviceport.go UsesClusterEndpoints",
        "Local: load-balancer addresses are left to kube-proxy",
        "
service web ip=10.96.0.1 port=http:80/TCP type=LoadBalancer vip=203.0.113.9 internal=Local
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n1/a",
        "
shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 unreachable
! InternalLocal",
    ),
    case(
        "serviceport.go UsesClusterEndpoints",
        "Local: external addresses are left to kube-proxy",
        "
settings external-ips
service web ip=10.96.0.1 port=http:80/TCP external=203.0.113.9 internal=Local
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n1/a",
        "
shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 unreachable
! InternalLocal",
    ),
    case(
        "topology.go CategorizeEndpoints",
        "a service that becomes Local keeps its local endpoints only",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n1/a
  10.1.0.2@n2/a
later
service web ip=10.96.0.1 port=http:80/TCP internal=Local",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 unreachable",
    ),
    case(
        "util/utils.go ShouldSkipService",
        "a headless service is left alone",
        "
service web ip=None port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "",
    ),
    case(
        "util/utils.go ShouldSkipService",
        "a service without an address yet is left alone",
        "
service web port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "",
    ),
    case(
        "util/utils.go ShouldSkipService",
        "an ExternalName is left alone",
        "service web type=ExternalName port=http:80/TCP",
        "",
    ),
    case(
        "util/utils.go ShouldSkipService",
        "an ExternalName that still has an address is left alone",
        "
service web type=ExternalName ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "",
    ),
    case(
        "cmd/kube-proxy/app/server.go ProxyServer.Run (label selector)",
        "another proxy's service is left alone",
        "
service web ip=10.96.0.1 port=http:80/TCP label=service.kubernetes.io/service-proxy-name:mesh
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "",
    ),
    case(
        "cmd/kube-proxy/app/server.go ProxyServer.Run (label selector)",
        "another proxy's label counts even when it is empty",
        "
service web ip=10.96.0.1 port=http:80/TCP label=service.kubernetes.io/service-proxy-name:
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "",
    ),
    case(
        "cmd/kube-proxy/app/server.go ProxyServer.Run (label selector)",
        "a service with the headless label is left alone",
        "
service web ip=10.96.0.1 port=http:80/TCP label=service.kubernetes.io/headless:
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "",
    ),
    case(
        "docs/adr/006 (ours, where kube-proxy trusts its objects)",
        "an SCTP port is left to kube-proxy, its neighbours are not",
        "
service web ip=10.96.0.1 port=http:80/TCP port=sctp:99/SCTP
slice web-1 of=web v4 port=http:8080/TCP port=sctp:99/SCTP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "docs/adr/006 (ours, where kube-proxy trusts its objects)",
        "a service with only SCTP is left to kube-proxy",
        "
service web ip=10.96.0.1 port=sctp:99/SCTP
slice web-1 of=web v4 port=sctp:99/SCTP
  10.1.0.1@n2",
        "",
    ),
    case(
        "docs/adr/006 (ours, where kube-proxy trusts its objects)",
        "default/kubernetes is never adopted",
        "
service default/kubernetes ip=10.96.0.1 port=https:443/TCP no-selector
slice default/kubernetes of=kubernetes v4 port=https:6443/TCP by=nobody
  192.168.0.9",
        "",
    ),
    case(
        "docs/adr/006 (ours, where kube-proxy trusts its objects)",
        "default/kubernetes is never adopted, not even where it asks for it",
        "
service default/kubernetes ip=10.96.0.1 port=https:443/TCP label=redirector.dev/failover:true
slice default/kubernetes of=kubernetes v4 port=https:6443/TCP
  192.168.0.9",
        "",
    ),
    case(
        "docs/adr/006 (ours, where kube-proxy trusts its objects)",
        "a service called kubernetes elsewhere is one",
        "
service kubernetes ip=10.96.0.1 port=https:443/TCP
slice k of=kubernetes v4 port=https:6443/TCP
  10.1.0.9",
        "shop/kubernetes:https 10.96.0.1:443/tcp => P 10.1.0.9:6443",
    ),
    case(
        "docs/adr/006 (ours, where kube-proxy trusts its objects)",
        "opt-in: a service without the label is left alone",
        "
settings scope=labelled
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "",
    ),
    case(
        "docs/adr/006 (ours, where kube-proxy trusts its objects)",
        "opt-in: a service with the label is adopted",
        "
settings scope=labelled
service web ip=10.96.0.1 port=http:80/TCP label=redirector.dev/failover:true
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "docs/adr/006 (ours, where kube-proxy trusts its objects)",
        "opt-in: only the value true counts",
        "
settings scope=labelled
service web ip=10.96.0.1 port=http:80/TCP label=redirector.dev/failover:yes
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "",
    ),
    case(
        "docs/neighbours.md (leave a Service alone)",
        "opt-out: with the scope of all a service is left alone whose label is false",
        "
service dns ip=10.96.0.1 port=http:80/TCP label=redirector.dev/failover:false
slice dns-1 of=dns v4 port=http:8080/TCP
  10.1.0.1@n2
service web ip=10.96.0.2 port=http:80/TCP label=redirector.dev/failover:no
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.2@n2",
        "shop/web:http 10.96.0.2:80/tcp => P 10.1.0.2:8080",
    ),
    case(
        "docs/adr/006 (ours, where kube-proxy trusts its objects)",
        "opt-in: a service that loses the label is left alone again",
        "
settings scope=labelled
service web ip=10.96.0.1 port=http:80/TCP label=redirector.dev/failover:true
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2
later
service web ip=10.96.0.1 port=http:80/TCP",
        "",
    ),
    case(
        "docs/adr/006 (ours, where kube-proxy trusts its objects)",
        "a labelled service that is headless is left alone and says so",
        "
settings scope=labelled
service web ip=None port=http:80/TCP label=redirector.dev/failover:true
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "! NotServed",
    ),
    case(
        "docs/adr/006 (ours, where kube-proxy trusts its objects)",
        "a labelled ExternalName is left alone and says so",
        "
settings scope=labelled
service web type=ExternalName label=redirector.dev/failover:true",
        "! NotServed",
    ),
    case(
        "util/utils.go ShouldSkipService",
        "a service that becomes an ExternalName is left alone from then on",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2
later
service web type=ExternalName",
        "",
    ),
    case(
        "servicechangetracker.go serviceToServiceMap",
        "each port of a service is a service of its own",
        "service web ip=10.96.0.1 port=a:1/TCP port=b:2/UDP port=c:3/TCP",
        "
shop/web:a 10.96.0.1:1/tcp =>
shop/web:b 10.96.0.1:2/udp =>
shop/web:c 10.96.0.1:3/tcp =>",
    ),
    case(
        "servicechangetracker.go serviceToServiceMap",
        "a port that is taken out is gone",
        "
service web ip=10.96.0.1 port=a:1/TCP port=b:2/TCP
later
service web ip=10.96.0.1 port=a:1/TCP",
        "shop/web:a 10.96.0.1:1/tcp =>",
    ),
    case(
        "servicechangetracker.go serviceToServiceMap",
        "a port that is called differently is another one",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2
later
service web ip=10.96.0.1 port=web:80/TCP",
        "shop/web:web 10.96.0.1:80/tcp =>",
    ),
    case(
        "servicechangetracker.go serviceToServiceMap",
        "a port that changes its number keeps its endpoints",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2
later
service web ip=10.96.0.1 port=http:81/TCP",
        "shop/web:http 10.96.0.1:81/tcp => P 10.1.0.1:8080",
    ),
    case(
        "servicechangetracker.go serviceToServiceMap",
        "a service without ports is none",
        "service web ip=10.96.0.1",
        "",
    ),
    case(
        "docs/adr/006 (ours, where kube-proxy trusts its objects)",
        "two ports of one name: the service is left to kube-proxy",
        "
service web ip=10.96.0.1 port=http:80/TCP port=http:81/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "! PortTwice",
    ),
    case(
        "serviceport.go newBaseServiceInfo",
        "publishNotReadyAddresses is the controller's business",
        "
service web ip=10.96.0.1 port=http:80/TCP publish-not-ready
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2 -ready -serving",
        "shop/web:http 10.96.0.1:80/tcp =>",
    ),
    case(
        "util/nodeport_addresses.go GetNodeIPs",
        "a node port is a frontend at each own address of the family",
        "
service web ip=10.96.0.1 port=http:80/TCP:30080 type=NodePort
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp 192.168.0.1:30080/tcp => P 10.1.0.1:8080",
    ),
    case(
        "util/nodeport_addresses.go GetNodeIPs",
        "a node port is at internal and external addresses, not at host names",
        "
node zone=a addresses=192.168.0.1,ExternalIP!198.51.100.7,Hostname!10.9.9.9,InternalDNS!10.9.9.8
service web ip=10.96.0.1 port=http:80/TCP:30080 type=NodePort
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp 192.168.0.1:30080/tcp 198.51.100.7:30080/tcp => P 10.1.0.1:8080",
    ),
    case(
        "util/nodeport_addresses.go GetNodeIPs",
        "a node with two internal addresses has a node port at both",
        "
node zone=a addresses=192.168.0.1,192.168.0.2
service web ip=10.96.0.1 port=http:80/TCP:30080 type=NodePort
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp 192.168.0.1:30080/tcp 192.168.0.2:30080/tcp => P 10.1.0.1:8080",
    ),
    case(
        "util/nodeport_addresses.go GetNodeIPs",
        "an address that a node lists twice is one",
        "
node zone=a addresses=192.168.0.1,ExternalIP!192.168.0.1
service web ip=10.96.0.1 port=http:80/TCP:30080 type=NodePort
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp 192.168.0.1:30080/tcp => P 10.1.0.1:8080",
    ),
    case(
        "util/nodeport_addresses.go GetNodeIPs",
        "a node that gets another address has its node ports there",
        "
service web ip=10.96.0.1 port=http:80/TCP:30080 type=NodePort
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2
later
node zone=a region=eu addresses=192.168.0.77",
        "shop/web:http 10.96.0.1:80/tcp 192.168.0.77:30080/tcp => P 10.1.0.1:8080",
    ),
    case(
        "util/nodeport_addresses.go GetNodeIPs",
        "a loopback address of a node is no frontend",
        "
node zone=a addresses=127.0.0.1,192.168.0.1
service web ip=10.96.0.1 port=http:80/TCP:30080 type=NodePort
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp 192.168.0.1:30080/tcp => P 10.1.0.1:8080",
    ),
    case(
        "serviceport.go newBaseServiceInfo",
        "node port 0 is none",
        "
service web ip=10.96.0.1 port=http:80/TCP:0
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "iptables/proxier.go syncProxyRules",
        "externalTrafficPolicy Local never applies to sockets on the node",
        "
service web ip=10.96.0.1 port=http:80/TCP:30080 type=NodePort externally=Local
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2/b",
        "shop/web:http 10.96.0.1:80/tcp 192.168.0.1:30080/tcp => P 10.1.0.1:8080",
    ),
    case(
        "iptables/proxier.go syncProxyRules",
        "externalTrafficPolicy Local: a load-balancer address leads to all endpoints",
        "
service web ip=10.96.0.1 port=http:80/TCP type=LoadBalancer vip=203.0.113.9 externally=Local
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n1/a
  10.1.0.2@n2/b",
        "shop/web:http 10.96.0.1:80/tcp 203.0.113.9:80/tcp => P 10.1.0.1:8080 10.1.0.2:8080",
    ),
    case(
        "util/utils.go IsVIPMode",
        "a load-balancer address without a mode is a frontend",
        "
service web ip=10.96.0.1 port=http:80/TCP:30080 type=LoadBalancer vip=203.0.113.9
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp 192.168.0.1:30080/tcp 203.0.113.9:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "util/utils.go IsVIPMode",
        "a load-balancer address in mode VIP is a frontend",
        "
service web ip=10.96.0.1 port=http:80/TCP:30080 type=LoadBalancer vip=203.0.113.9!VIP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp 192.168.0.1:30080/tcp 203.0.113.9:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "util/utils.go IsVIPMode",
        "a load-balancer address in mode Proxy is none",
        "
service web ip=10.96.0.1 port=http:80/TCP:30080 type=LoadBalancer vip=203.0.113.9!Proxy
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp 192.168.0.1:30080/tcp => P 10.1.0.1:8080",
    ),
    case(
        "serviceport.go newBaseServiceInfo",
        "a load balancer with a host name only has no address",
        "
service web ip=10.96.0.1 port=http:80/TCP:30080 type=LoadBalancer vip-host=lb.example
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp 192.168.0.1:30080/tcp => P 10.1.0.1:8080",
    ),
    case(
        "serviceport.go newBaseServiceInfo",
        "a load balancer may have several addresses",
        "
service web ip=10.96.0.1 port=http:80/TCP:30080 type=LoadBalancer vip=203.0.113.9,203.0.113.10
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp 192.168.0.1:30080/tcp 203.0.113.9:80/tcp 203.0.113.10:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "serviceport.go newBaseServiceInfo",
        "a load-balancer address is one with every port",
        "service web ip=10.96.0.1 port=a:1/TCP port=b:2/TCP type=LoadBalancer vip=203.0.113.9",
        "
shop/web:a 10.96.0.1:1/tcp 203.0.113.9:1/tcp =>
shop/web:b 10.96.0.1:2/tcp 203.0.113.9:2/tcp =>",
    ),
    case(
        "iptables/proxier.go syncProxyRules (firewall chain)",
        "with source ranges the load-balancer address is left to kube-proxy",
        "
service web ip=10.96.0.1 port=http:80/TCP:30080 type=LoadBalancer vip=203.0.113.9 ranges=10.0.0.0/8
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "
shop/web:http 10.96.0.1:80/tcp 192.168.0.1:30080/tcp => P 10.1.0.1:8080
! SourceRanges",
    ),
    case(
        "iptables/proxier.go syncProxyRules (firewall chain)",
        "source ranges without a load-balancer address say nothing",
        "
service web ip=10.96.0.1 port=http:80/TCP:30080 type=LoadBalancer ranges=10.0.0.0/8
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp 192.168.0.1:30080/tcp => P 10.1.0.1:8080",
    ),
    case(
        "serviceport.go newBaseServiceInfo",
        "source ranges that are taken away give the address back",
        "
service web ip=10.96.0.1 port=http:80/TCP:30080 type=LoadBalancer vip=203.0.113.9 ranges=10.0.0.0/8
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2
later
service web ip=10.96.0.1 port=http:80/TCP:30080 type=LoadBalancer vip=203.0.113.9",
        "shop/web:http 10.96.0.1:80/tcp 192.168.0.1:30080/tcp 203.0.113.9:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "serviceport.go newBaseServiceInfo (opt-in here)",
        "external addresses are frontends where they are asked for",
        "
settings external-ips
service web ip=10.96.0.1 port=http:80/TCP external=198.51.100.3,198.51.100.4
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp 198.51.100.3:80/tcp 198.51.100.4:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "serviceport.go newBaseServiceInfo (opt-in here)",
        "external addresses are left to kube-proxy otherwise",
        "
service web ip=10.96.0.1 port=http:80/TCP external=198.51.100.3
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "serviceport.go newBaseServiceInfo",
        "one address as load balancer's and external is one",
        "
settings external-ips
service web ip=10.96.0.1 port=http:80/TCP:30080 type=LoadBalancer vip=203.0.113.9 external=203.0.113.9
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp 192.168.0.1:30080/tcp 203.0.113.9:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "util/utils.go GetClusterIPByFamily",
        "a dual-stack service has an address of each family",
        "
service web ip=10.96.0.1,fd00:96::1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2
slice web-6 of=web v6 port=http:8080/TCP
  fd00:1::1@n2",
        "shop/web:http 10.96.0.1:80/tcp [fd00:96::1]:80/tcp => P 10.1.0.1:8080 [fd00:1::1]:8080",
    ),
    case(
        "util/utils.go GetClusterIPByFamily",
        "the order of the families does not matter",
        "
service web ip=fd00:96::1,10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2
slice web-6 of=web v6 port=http:8080/TCP
  fd00:1::1@n2",
        "shop/web:http 10.96.0.1:80/tcp [fd00:96::1]:80/tcp => P 10.1.0.1:8080 [fd00:1::1]:8080",
    ),
    case(
        "util/utils.go GetClusterIPByFamily",
        "a service of IPv6 alone uses IPv6 slices alone",
        "
service web ip=fd00:96::1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2
slice web-6 of=web v6 port=http:8080/TCP
  fd00:1::1@n2",
        "shop/web:http [fd00:96::1]:80/tcp => P [fd00:1::1]:8080",
    ),
    case(
        "util/utils.go GetClusterIPByFamily",
        "a service of IPv4 alone uses IPv4 slices alone",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2
slice web-6 of=web v6 port=http:8080/TCP
  fd00:1::1@n2",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "util/utils.go GetClusterIPByFamily",
        "a second address without its family is not served",
        "
service web ip=10.96.0.1,fd00:96::1 families=IPv4 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2
slice web-6 of=web v6 port=http:8080/TCP
  fd00:1::1@n2",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "util/utils.go GetClusterIPByFamily",
        "without families the first address alone is served",
        "
service web ip=10.96.0.1,fd00:96::1 families= port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "util/utils.go GetClusterIPByFamily",
        "a family without its address yet is not served",
        "
service web ip=10.96.0.1 families=IPv4,IPv6 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2
slice web-6 of=web v6 port=http:8080/TCP
  fd00:1::1@n2",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "topology.go CategorizeEndpoints, one proxier per family",
        "a family without endpoints refuses while the other serves",
        "
service web ip=10.96.0.1,fd00:96::1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp [fd00:96::1]:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "topology.go topologyModeFromHints, one proxier per family",
        "hints are looked at per family",
        "
service web ip=10.96.0.1,fd00:96::1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2/a ~a
  10.1.0.2@n2/b ~b
slice web-6 of=web v6 port=http:8080/TCP
  fd00:1::1@n2/a ~a
  fd00:1::2@n2/b",
        "shop/web:http 10.96.0.1:80/tcp [fd00:96::1]:80/tcp => P 10.1.0.1:8080 [fd00:1::1]:8080 [fd00:1::2]:8080 R 10.1.0.2:8080",
    ),
    case(
        "topology.go CategorizeEndpoints, one proxier per family",
        "the fallback to those that terminate is per family",
        "
service web ip=10.96.0.1,fd00:96::1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2
slice web-6 of=web v6 port=http:8080/TCP
  fd00:1::1@n2 -ready +serving +terminating",
        "shop/web:http 10.96.0.1:80/tcp [fd00:96::1]:80/tcp => P 10.1.0.1:8080 T [fd00:1::1]:8080",
    ),
    case(
        "util/nodeport_addresses.go GetNodeIPs",
        "a node port of a dual-stack service is at addresses of both families",
        "
service web ip=10.96.0.1,fd00:96::1 port=http:80/TCP:30080
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp 192.168.0.1:30080/tcp [fd00:a::1]:30080/tcp [fd00:96::1]:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "util/nodeport_addresses.go GetNodeIPs",
        "a node port of an IPv6 service is at IPv6 addresses alone",
        "service web ip=fd00:96::1 port=http:80/TCP:30080",
        "shop/web:http [fd00:a::1]:30080/tcp [fd00:96::1]:80/tcp =>",
    ),
    case(
        "serviceport.go newBaseServiceInfo",
        "load-balancer addresses of a family without a cluster address are not served",
        "
service web ip=10.96.0.1 port=http:80/TCP:30080 type=LoadBalancer vip=203.0.113.9,2001:db8::9
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp 192.168.0.1:30080/tcp 203.0.113.9:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "serviceport.go newBaseServiceInfo",
        "external addresses of both families of a dual-stack service",
        "
settings external-ips
service web ip=10.96.0.1,fd00:96::1 port=http:80/TCP external=198.51.100.3,2001:db8::3
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp 198.51.100.3:80/tcp [2001:db8::3]:80/tcp [fd00:96::1]:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "endpointslicecache.go addEndpoints",
        "an IPv6 address in an IPv4 slice is left out",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  fd00:1::1@n2
  10.1.0.2@n2",
        "
shop/web:http 10.96.0.1:80/tcp => P 10.1.0.2:8080
! RefusedAddress",
    ),
    case(
        "endpointslicecache.go addEndpoints",
        "an IPv4 address in an IPv6 slice is left out",
        "
service web ip=10.96.0.1,fd00:96::1 port=http:80/TCP
slice web-6 of=web v6 port=http:8080/TCP
  10.1.0.1@n2
  fd00:1::2@n2",
        "
shop/web:http 10.96.0.1:80/tcp [fd00:96::1]:80/tcp => P [fd00:1::2]:8080
! RefusedAddress",
    ),
    case(
        "docs/adr/006: canonical form",
        "an IPv6 address is one however it is written",
        "
service web ip=10.96.0.1,fd00:96::1 port=http:80/TCP
slice web-6 of=web v6 port=http:8080/TCP
  fd00:0:0:0:1::1@n2
  fd00::1:0:0:1@n2",
        "shop/web:http 10.96.0.1:80/tcp [fd00:96::1]:80/tcp => P [fd00::1:0:0:1]:8080",
    ),
    case(
        "topology.go CategorizeEndpoints, one proxier per family",
        "internalTrafficPolicy Local is per family",
        "
service web ip=10.96.0.1,fd00:96::1 port=http:80/TCP internal=Local
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n1
slice web-6 of=web v6 port=http:8080/TCP
  fd00:1::1@n2",
        "shop/web:http 10.96.0.1:80/tcp [fd00:96::1]:80/tcp => P 10.1.0.1:8080 unreachable",
    ),
    case(
        "serviceport.go newBaseServiceInfo",
        "session affinity by client address with its timeout",
        "
service web ip=10.96.0.1 port=http:80/TCP affinity=600
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 affinity=600",
    ),
    case(
        "apis/core/v1/defaults.go SetDefaults_Service",
        "session affinity without a timeout is three hours",
        "
service web ip=10.96.0.1 port=http:80/TCP affinity=default
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 affinity=10800",
    ),
    case(
        "serviceport.go newBaseServiceInfo",
        "the longest session affinity is a day",
        "
service web ip=10.96.0.1 port=http:80/TCP affinity=86400
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 affinity=86400",
    ),
    case(
        "serviceport.go newBaseServiceInfo",
        "the shortest session affinity is a second",
        "
service web ip=10.96.0.1 port=http:80/TCP affinity=1
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 affinity=1",
    ),
    case(
        "serviceport.go newBaseServiceInfo",
        "session affinity None is none",
        "
service web ip=10.96.0.1 port=http:80/TCP affinity-none
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "serviceport.go newBaseServiceInfo",
        "session affinity is one over all addresses of a port",
        "
service web ip=10.96.0.1 port=http:80/TCP:30080 type=LoadBalancer vip=203.0.113.9 affinity=60
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp 192.168.0.1:30080/tcp 203.0.113.9:80/tcp => P 10.1.0.1:8080 affinity=60",
    ),
    case(
        "serviceport.go newBaseServiceInfo",
        "session affinity is each port's own",
        "service web ip=10.96.0.1 port=a:1/TCP port=b:2/UDP affinity=60",
        "
shop/web:a 10.96.0.1:1/tcp => affinity=60
shop/web:b 10.96.0.1:2/udp => affinity=60",
    ),
    case(
        "serviceport.go newBaseServiceInfo",
        "session affinity that is switched off is off",
        "
service web ip=10.96.0.1 port=http:80/TCP affinity=60
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2
later
service web ip=10.96.0.1 port=http:80/TCP",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "serviceport.go newBaseServiceInfo",
        "session affinity of a dual-stack service holds for both families",
        "
service web ip=10.96.0.1,fd00:96::1 port=http:80/TCP affinity=60
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp [fd00:96::1]:80/tcp => P 10.1.0.1:8080 affinity=60",
    ),
    case(
        "conntrack/cleanup.go CleanStaleEntries",
        "UDP: an endpoint that is gone is not in the table, so its flows move",
        "
service dns ip=10.96.0.10 port=dns:53/UDP
slice dns-1 of=dns v4 port=dns:53/UDP
  10.1.0.1@n2
  10.1.0.2@n2
later
slice dns-1 of=dns v4 port=dns:53/UDP
  10.1.0.2@n2",
        "shop/dns:dns 10.96.0.10:53/udp => P 10.1.0.2:53",
    ),
    case(
        "conntrack/cleanup.go CleanStaleEntries",
        "UDP: an endpoint that serves while it terminates stays in the table, so its flows stay",
        "
service dns ip=10.96.0.10 port=dns:53/UDP
slice dns-1 of=dns v4 port=dns:53/UDP
  10.1.0.1@n2
  10.1.0.2@n2
later
slice dns-1 of=dns v4 port=dns:53/UDP
  10.1.0.1@n2 -ready +serving +terminating
  10.1.0.2@n2",
        "shop/dns:dns 10.96.0.10:53/udp => P 10.1.0.2:53 T 10.1.0.1:53",
    ),
    case(
        "conntrack/cleanup.go CleanStaleEntries",
        "UDP: an endpoint that terminates and does not serve is not in the table",
        "
service dns ip=10.96.0.10 port=dns:53/UDP
slice dns-1 of=dns v4 port=dns:53/UDP
  10.1.0.1@n2
  10.1.0.2@n2
later
slice dns-1 of=dns v4 port=dns:53/UDP
  10.1.0.1@n2 -ready -serving +terminating
  10.1.0.2@n2",
        "shop/dns:dns 10.96.0.10:53/udp => P 10.1.0.2:53",
    ),
    case(
        "conntrack/cleanup.go CleanStaleEntries",
        "UDP: an endpoint that is not ready is not in the table",
        "
service dns ip=10.96.0.10 port=dns:53/UDP
slice dns-1 of=dns v4 port=dns:53/UDP
  10.1.0.1@n2
  10.1.0.2@n2
later
slice dns-1 of=dns v4 port=dns:53/UDP
  10.1.0.1@n2 -ready -serving
  10.1.0.2@n2",
        "shop/dns:dns 10.96.0.10:53/udp => P 10.1.0.2:53",
    ),
    case(
        "conntrack/cleanup.go CleanStaleEntries",
        "UDP: without any endpoint the service stays",
        "
service dns ip=10.96.0.10 port=dns:53/UDP
slice dns-1 of=dns v4 port=dns:53/UDP
  10.1.0.1@n2
later
slice dns-1 of=dns v4 port=dns:53/UDP",
        "shop/dns:dns 10.96.0.10:53/udp =>",
    ),
    case(
        "conntrack/cleanup.go CleanStaleEntries",
        "UDP: an endpoint that hints do not choose stays in the table, so its flows stay",
        "
service dns ip=10.96.0.10 port=dns:53/UDP
slice dns-1 of=dns v4 port=dns:53/UDP
  10.1.0.1@n2/b
  10.1.0.2@n3/a
later
slice dns-1 of=dns v4 port=dns:53/UDP
  10.1.0.1@n2/b ~b
  10.1.0.2@n3/a ~a",
        "shop/dns:dns 10.96.0.10:53/udp => P 10.1.0.2:53 R 10.1.0.1:53",
    ),
    case(
        "conntrack/cleanup.go CleanStaleEntries",
        "UDP: an address that another pod takes over stays in the table",
        "
service dns ip=10.96.0.10 port=dns:53/UDP
slice dns-1 of=dns v4 port=dns:53/UDP
  10.1.0.1@n2
later
slice dns-1 of=dns v4 port=dns:53/UDP
  10.1.0.1@n3",
        "shop/dns:dns 10.96.0.10:53/udp => P 10.1.0.1:53",
    ),
    case(
        "conntrack/cleanup.go CleanStaleEntries",
        "UDP: a node port is a frontend of the same table",
        "
service dns ip=10.96.0.10 port=dns:53/UDP:30053
slice dns-1 of=dns v4 port=dns:53/UDP
  10.1.0.1@n2",
        "shop/dns:dns 10.96.0.10:53/udp 192.168.0.1:30053/udp => P 10.1.0.1:53",
    ),
    case(
        "conntrack/cleanup.go CleanStaleEntries",
        "UDP: an endpoint that answers on another port is another one",
        "
service dns ip=10.96.0.10 port=dns:53/UDP
slice dns-1 of=dns v4 port=dns:53/UDP
  10.1.0.1@n2
later
slice dns-1 of=dns v4 port=dns:5353/UDP
  10.1.0.1@n2",
        "shop/dns:dns 10.96.0.10:53/udp => P 10.1.0.1:5353",
    ),
    case(
        "docs/adr/006 (ours, where kube-proxy trusts its objects)",
        "a slice that nobody vouches for: the service is left to kube-proxy",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP by=nobody
  10.1.0.1@n2",
        "! UntrustedSlice",
    ),
    case(
        "docs/adr/006 (ours, where kube-proxy trusts its objects)",
        "a copy of Endpoints is not vouched for: users write those",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP by=endpointslicemirroring-controller.k8s.io
  10.1.0.1@n2",
        "! UntrustedSlice",
    ),
    case(
        "docs/adr/006 (ours, where kube-proxy trusts its objects)",
        "the controller's label is not believed where there is no selector",
        "
service web ip=10.96.0.1 port=http:80/TCP no-selector
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "! UntrustedSlice",
    ),
    case(
        "docs/adr/006 (ours, where kube-proxy trusts its objects)",
        "a foreign slice within the trusted networks is honoured",
        "
settings trusted=10.1.0.0/16
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP by=me
  10.1.0.1@n2",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "docs/adr/006 (ours, where kube-proxy trusts its objects)",
        "a foreign slice with one address outside them: the service is left to kube-proxy",
        "
settings trusted=10.1.0.0/16
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP by=me
  10.1.0.1@n2
  10.2.0.1@n2",
        "! UntrustedSlice",
    ),
    case(
        "docs/adr/006 (ours, where kube-proxy trusts its objects)",
        "one foreign slice beside the controller's: the service is left as a whole",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2
slice mine of=web v4 port=http:8080/TCP by=me
  10.2.0.1@n2",
        "! UntrustedSlice",
    ),
    case(
        "docs/adr/006 (ours, where kube-proxy trusts its objects)",
        "a foreign slice without endpoints harms nobody",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2
slice mine of=web v4 port=http:8080/TCP by=me",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "docs/adr/006 (ours, where kube-proxy trusts its objects)",
        "a foreign slice that is gone is forgiven",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2
slice mine of=web v4 port=http:8080/TCP by=me
  10.2.0.1@n2
later
remove-slice mine",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "docs/adr/006 (ours, where kube-proxy trusts its objects)",
        "a foreign slice of another service does not matter",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2
service api ip=10.96.0.2 port=http:80/TCP
slice mine of=api v4 port=http:8080/TCP by=me
  10.2.0.1@n2",
        "
shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080
! UntrustedSlice",
    ),
    case(
        "docs/adr/006 (ours, where kube-proxy trusts its objects)",
        "an external address that is another service's cluster address stays its",
        "
settings external-ips
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2
service evil ip=10.96.0.66 port=http:80/TCP external=10.96.0.1",
        "
shop/evil:http 10.96.0.66:80/tcp =>
shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080
! AddressTaken",
    ),
    case(
        "docs/adr/006 (ours, where kube-proxy trusts its objects)",
        "of two services with one load-balancer address the older has it",
        "
service a ip=10.96.0.1 port=http:80/TCP type=LoadBalancer vip=203.0.113.9 created=2026-02-02
service b ip=10.96.0.2 port=http:80/TCP type=LoadBalancer vip=203.0.113.9 created=2026-01-01",
        "
shop/a:http 10.96.0.1:80/tcp =>
shop/b:http 10.96.0.2:80/tcp 203.0.113.9:80/tcp =>
! AddressTaken",
    ),
    case(
        "docs/adr/006 (ours, where kube-proxy trusts its objects)",
        "the younger has it when the older is gone",
        "
service a ip=10.96.0.1 port=http:80/TCP type=LoadBalancer vip=203.0.113.9 created=2026-02-02
service b ip=10.96.0.2 port=http:80/TCP type=LoadBalancer vip=203.0.113.9 created=2026-01-01
later
remove-service b",
        "shop/a:http 10.96.0.1:80/tcp 203.0.113.9:80/tcp =>",
    ),
    case(
        "docs/adr/006 (ours, where kube-proxy trusts its objects)",
        "one load-balancer address with different ports may be several services'",
        "
service a ip=10.96.0.1 port=http:80/TCP type=LoadBalancer vip=203.0.113.9
service b ip=10.96.0.2 port=http:81/TCP type=LoadBalancer vip=203.0.113.9",
        "
shop/a:http 10.96.0.1:80/tcp 203.0.113.9:80/tcp =>
shop/b:http 10.96.0.2:81/tcp 203.0.113.9:81/tcp =>",
    ),
    case(
        "docs/adr/006 (ours, where kube-proxy trusts its objects)",
        "one address and port with different protocols may be several services'",
        "
service a ip=10.96.0.1 port=p:53/TCP type=LoadBalancer vip=203.0.113.9
service b ip=10.96.0.2 port=p:53/UDP type=LoadBalancer vip=203.0.113.9",
        "
shop/a:p 10.96.0.1:53/tcp 203.0.113.9:53/tcp =>
shop/b:p 10.96.0.2:53/udp 203.0.113.9:53/udp =>",
    ),
    case(
        "docs/adr/006 (ours, where kube-proxy trusts its objects)",
        "an external address where a pod answers is left to kube-proxy",
        "
settings external-ips
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2
service evil ip=10.96.0.66 port=p:8080/TCP external=10.1.0.1",
        "
shop/evil:p 10.96.0.66:8080/tcp =>
shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080
! AddressOfPod",
    ),
    case(
        "docs/adr/006 (ours, where kube-proxy trusts its objects)",
        "an external address at another port of a pod is a frontend",
        "
settings external-ips
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2
service odd ip=10.96.0.66 port=p:8081/TCP external=10.1.0.1",
        "
shop/odd:p 10.1.0.1:8081/tcp 10.96.0.66:8081/tcp =>
shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080",
    ),
    case(
        "docs/adr/006 (ours, where kube-proxy trusts its objects)",
        "a pod that comes to a load-balancer address takes it out of ours",
        "
service web ip=10.96.0.1 port=http:80/TCP:30080 type=LoadBalancer vip=10.1.0.1
later
service api ip=10.96.0.2 port=p:80/TCP
slice api-1 of=api v4 port=p:80/TCP
  10.1.0.1@n3",
        "
shop/api:p 10.96.0.2:80/tcp => P 10.1.0.1:80
shop/web:http 10.96.0.1:80/tcp 192.168.0.1:30080/tcp =>
! AddressOfPod",
    ),
    case(
        "docs/adr/006 (ours, where kube-proxy trusts its objects)",
        "a load-balancer address that is its own endpoint's is left to kube-proxy",
        "
service web ip=10.96.0.1 port=http:80/TCP type=LoadBalancer vip=192.168.0.5
slice web-1 of=web v4 port=http:80/TCP
  192.168.0.5@n5",
        "
shop/web:http 10.96.0.1:80/tcp => P 192.168.0.5:80
! AddressOfPod",
    ),
    case(
        "docs/adr/006 (ours, where kube-proxy trusts its objects)",
        "an endpoint that is a service's cluster address is left out",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2
slice web-2 of=web v4 port=http:80/TCP
  10.96.0.2@n2
service api ip=10.96.0.2 port=p:80/TCP",
        "
shop/api:p 10.96.0.2:80/tcp =>
shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080
! EndpointIsFrontend",
    ),
    case(
        "docs/adr/006 (ours, where kube-proxy trusts its objects)",
        "an endpoint that is its own service's address is left out",
        "
settings trusted=0.0.0.0/0
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:80/TCP by=me
  10.96.0.1@n2
  10.1.0.1@n2",
        "
shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:80
! EndpointIsFrontend",
    ),
    case(
        "docs/adr/006 (ours, where kube-proxy trusts its objects)",
        "an endpoint that is a node port of this node is left out",
        "
service web ip=10.96.0.1 port=http:80/TCP:30080
service api ip=10.96.0.2 port=p:80/TCP
slice api-1 of=api v4 port=p:30080/TCP
  192.168.0.1@n1
  192.168.0.2@n2",
        "
shop/api:p 10.96.0.2:80/tcp => P 192.168.0.2:30080
shop/web:http 10.96.0.1:80/tcp 192.168.0.1:30080/tcp =>
! EndpointIsFrontend",
    ),
    case(
        "docs/adr/006 (ours, where kube-proxy trusts its objects)",
        "an endpoint returns when the service whose address it was is gone",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2
slice web-2 of=web v4 port=http:80/TCP
  10.96.0.2@n2
service api ip=10.96.0.2 port=p:80/TCP
later
remove-service api",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080 10.96.0.2:80",
    ),
    case(
        "docs/adr/006 (ours, where kube-proxy trusts its objects)",
        "a foreign endpoint at another service's load-balancer address is left out",
        "
settings trusted=0.0.0.0/0
service a ip=10.96.0.1 port=http:80/TCP type=LoadBalancer vip=203.0.113.9
service b ip=10.96.0.2 port=p:80/TCP no-selector
slice b-1 of=b v4 port=p:80/TCP by=me
  203.0.113.9
  203.0.113.10",
        "
shop/a:http 10.96.0.1:80/tcp 203.0.113.9:80/tcp =>
shop/b:p 10.96.0.2:80/tcp => P 203.0.113.10:80
! EndpointIsFrontend",
    ),
    case(
        "docs/adr/006 (ours, where kube-proxy trusts its objects)",
        "a forbidden address is left out, its good neighbours stay",
        "
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  127.0.0.1@n2
  10.1.0.2@n2
  169.254.169.254@n2",
        "
shop/web:http 10.96.0.1:80/tcp => P 10.1.0.2:8080
! RefusedAddress",
    ),
    case(
        "docs/adr/006 (ours, where kube-proxy trusts its objects)",
        "a forbidden load-balancer address is left to kube-proxy",
        "
service web ip=10.96.0.1 port=http:80/TCP:30080 type=LoadBalancer vip=169.254.169.254,203.0.113.9
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "
shop/web:http 10.96.0.1:80/tcp 192.168.0.1:30080/tcp 203.0.113.9:80/tcp => P 10.1.0.1:8080
! RefusedAddress",
    ),
    case(
        "docs/adr/006 (ours, where kube-proxy trusts its objects)",
        "over its namespace's share a service is left to kube-proxy, the others are not",
        "
settings slots=70
service big/web ip=10.96.0.1 port=a:1/TCP port=b:2/TCP port=c:3/TCP
service web ip=10.96.0.2 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2",
        "
shop/web:http 10.96.0.2:80/tcp => P 10.1.0.1:8080
! OverShare",
    ),
    case(
        "docs/adr/006 (ours, where kube-proxy trusts its objects)",
        "a service over its share is adopted when there is room again",
        "
settings slots=70
service big/web ip=10.96.0.1 port=a:1/TCP port=b:2/TCP port=c:3/TCP
service web ip=10.96.0.2 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2
later
remove-service web",
        "
big/web:a 10.96.0.1:1/tcp =>
big/web:b 10.96.0.1:2/tcp =>
big/web:c 10.96.0.1:3/tcp =>",
    ),
    case(
        "docs/adr/006 (ours, where kube-proxy trusts its objects)",
        "a zone in no region that is known is said",
        "
regions a=eu
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2/z",
        "
shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080
! UnknownZone",
    ),
    case(
        "docs/adr/006 (ours, where kube-proxy trusts its objects)",
        "the own node's zone is in the own node's region",
        "
regions b=eu
service web ip=10.96.0.1 port=http:80/TCP
slice web-1 of=web v4 port=http:8080/TCP
  10.1.0.1@n2/a",
        "shop/web:http 10.96.0.1:80/tcp => P 10.1.0.1:8080",
    ),
];
