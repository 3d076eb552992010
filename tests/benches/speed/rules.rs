//! What others write for the same services: iptables and nftables rules as kube-proxy writes them,
//! and a configuration of HAProxy.
//!
//! After `pkg/proxy/iptables/proxier.go` and `pkg/proxy/nftables/proxier.go` of Kubernetes, without
//! what a dial from a node to a cluster IP never meets (node ports, affinity, health checks).

use std::{fmt::Write as _, net::Ipv4Addr};

use crate::{
    server,
    services::{backend_address, frontend},
};

/// Endpoints of each service there: more of them would make the others slower still.
const ENDPOINTS: u32 = 3;
/// The backends' range.
const CLUSTER: &str = "10.77.0.0/16";

/// For `iptables-restore`: a chain per service and per endpoint, and one list of all services.
pub fn iptables(services: u32) -> String {
    let mut chains = String::new();
    let mut list = String::new();
    let mut rules = String::new();
    for service in 0..services {
        let (address, chain) = (frontend(service), format!("KUBE-SVC-{service:016X}"));
        let _ = writeln!(chains, ":{chain} - [0:0]");
        let _ = writeln!(
            list,
            "-A KUBE-SERVICES -m comment --comment \"bench/service-{service} cluster IP\" \
             -m tcp -p tcp -d {address}/32 --dport 80 -j {chain}"
        );
        let _ = writeln!(
            rules,
            "-A {chain} -m tcp -p tcp -d {address}/32 --dport 80 ! -s {CLUSTER} -j KUBE-MARK-MASQ"
        );
        for endpoint in 0..ENDPOINTS {
            let number = service * ENDPOINTS + endpoint;
            let (backend, separate) = (backend_address(number), format!("KUBE-SEP-{number:016X}"));
            let _ = writeln!(chains, ":{separate} - [0:0]");
            let probability = match ENDPOINTS - endpoint {
                1 => String::new(),
                left => format!(
                    "-m statistic --mode random --probability {:.10} ",
                    1.0 / f64::from(left)
                ),
            };
            let _ = writeln!(rules, "-A {chain} {probability}-j {separate}");
            let _ = writeln!(rules, "-A {separate} -s {backend}/32 -j KUBE-MARK-MASQ");
            let _ = writeln!(
                rules,
                "-A {separate} -m tcp -p tcp -j DNAT --to-destination {backend}:{}",
                server::PORT
            );
        }
    }
    format!(
        "*nat\n:KUBE-SERVICES - [0:0]\n:KUBE-POSTROUTING - [0:0]\n:KUBE-MARK-MASQ - [0:0]\n\
         {chains}\
         -A OUTPUT -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES\n\
         -A POSTROUTING -j KUBE-POSTROUTING\n\
         -A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN\n\
         -A KUBE-POSTROUTING -j MARK --xor-mark 0x4000\n\
         -A KUBE-POSTROUTING -j MASQUERADE --random-fully\n\
         -A KUBE-MARK-MASQ -j MARK --or-mark 0x4000\n\
         {list}{rules}COMMIT\n"
    )
}

/// For `nft -f`: one map from address, protocol and port to the chain of the service.
pub fn nftables(services: u32) -> String {
    let mut chains = String::new();
    let mut elements = String::new();
    for service in 0..services {
        let (address, chain) = (frontend(service), format!("service-{service}-bench/s/tcp/http"));
        let _ = writeln!(elements, "    {address} . tcp . 80 : goto {chain},");
        let mut verdicts = String::new();
        for endpoint in 0..ENDPOINTS {
            let backend: Ipv4Addr = backend_address(service * ENDPOINTS + endpoint);
            let separate = format!("endpoint-{service}-bench/s/tcp/http__{backend}/8080");
            let _ = write!(verdicts, " {endpoint} : goto {separate},");
            let _ = writeln!(
                chains,
                "  chain {separate} {{\n    ip saddr {backend} jump mark-for-masquerade\n    \
                 meta l4proto tcp dnat to {backend}:{}\n  }}",
                server::PORT
            );
        }
        let _ = writeln!(
            chains,
            "  chain {chain} {{\n    \
             ip daddr {address} tcp dport 80 ip saddr != {CLUSTER} jump mark-for-masquerade\n    \
             numgen random mod {ENDPOINTS} vmap {{{verdicts} }}\n  }}"
        );
    }
    format!(
        "table ip kube-proxy {{
  map no-endpoint-services {{
    type ipv4_addr . inet_proto . inet_service : verdict
  }}
  chain mark-for-masquerade {{
    meta mark set meta mark or 0x4000
  }}
  chain masquerading {{
    meta mark and 0x4000 == 0 return
    meta mark set meta mark xor 0x4000
    masquerade fully-random
  }}
  chain service-endpoints-check {{
    ip daddr . meta l4proto . th dport vmap @no-endpoint-services
  }}
{chains}
  map service-ips {{
    type ipv4_addr . inet_proto . inet_service : verdict
    elements = {{
{elements}    }}
  }}
  chain services {{
    ip daddr . meta l4proto . th dport vmap @service-ips
  }}
  chain filter-output {{
    type filter hook output priority -110; policy accept;
    ct state new jump service-endpoints-check
  }}
  chain nat-output {{
    type nat hook output priority -100; policy accept;
    jump services
  }}
  chain nat-postrouting {{
    type nat hook postrouting priority 100; policy accept;
    jump masquerading
  }}
}}
"
    )
}

/// A proxy in TCP mode at `listen`, with the backends of one service.
pub fn haproxy(listen: Ipv4Addr, port: u16) -> String {
    let mut text = format!(
        "global\n  nbthread 1\n  maxconn 4000\n\
         defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n\
         listen service\n  bind {listen}:{port}\n  balance roundrobin\n"
    );
    for number in 0..ENDPOINTS {
        let (backend, backend_port) = (backend_address(number), server::PORT);
        let _ = writeln!(text, "  server s{number} {backend}:{backend_port}");
    }
    text
}
