//! kube-proxy's rules for one service, after `pkg/proxy/iptables/proxier.go` of Kubernetes, without
//! what a dial from a node to a cluster IP never meets (node ports, affinity).

use std::fmt::Write as _;

use crate::race::cast::{Member, SERVICE};

/// For `iptables-restore`: the Service, with these endpoints. Without endpoints it is refused, as by
/// kube-proxy, because no machine has the address.
pub(in crate::race) fn text(endpoints: &[Member]) -> String {
    let (address, port) = (SERVICE.ip(), SERVICE.port());
    let (mut chains, mut rules) = (String::new(), String::new());
    for (number, member) in endpoints.iter().enumerate() {
        let chain = format!("KUBE-SEP-{}", member.name().to_uppercase());
        let _ = writeln!(chains, ":{chain} - [0:0]");
        let chance = match endpoints.len() - number {
            1 => String::new(),
            left => {
                let chance = 1.0 / left as f64;
                format!("-m statistic --mode random --probability {chance:.10} ")
            }
        };
        let _ = writeln!(rules, "-A KUBE-SVC-RACE {chance}-j {chain}");
        let backend = member.address();
        let _ = writeln!(rules, "-A {chain} -s {}/32 -j KUBE-MARK-MASQ", backend.ip());
        let _ = writeln!(rules, "-A {chain} -m tcp -p tcp -j DNAT --to-destination {backend}");
    }
    format!(
        "*nat\n:KUBE-SERVICES - [0:0]\n:KUBE-POSTROUTING - [0:0]\n:KUBE-MARK-MASQ - [0:0]\n\
         :KUBE-SVC-RACE - [0:0]\n{chains}\
         -A OUTPUT -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES\n\
         -A POSTROUTING -j KUBE-POSTROUTING\n\
         -A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN\n\
         -A KUBE-POSTROUTING -j MARK --xor-mark 0x4000\n\
         -A KUBE-POSTROUTING -j MASQUERADE --random-fully\n\
         -A KUBE-MARK-MASQ -j MARK --or-mark 0x4000\n\
         -A KUBE-SERVICES -m tcp -p tcp -d {address}/32 --dport {port} -j KUBE-SVC-RACE\n\
         {rules}COMMIT\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_endpoint_gets_the_same_share() {
        let text = text(&Member::all().take(3).collect::<Vec<_>>());
        let chances: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("-A KUBE-SVC-RACE"))
            .map(|line| line.split("--probability ").nth(1).map_or("1", |rest| &rest[..4]))
            .collect();

        assert_eq!(chances, ["0.33", "0.50", "1"]);
        assert_eq!(text.matches("-j DNAT --to-destination").count(), 3);
    }
}
