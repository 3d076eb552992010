//! The agent's file: a policy as README shows it, the times and counts of which are the defaults.

use std::fmt::Write as _;

use crate::race::cast::{Member, SERVICE};

/// The file of an agent on the node of that name, with an HTTP probe or without.
pub(in crate::race) fn text(node: &str, http: bool) -> String {
    let mut text = format!(
        "node: {{name: {node}, zone: a, region: eu, cluster: local}}
services:
- name: race/checkout
  frontends: [\"{SERVICE}/tcp\"]
  policy:
    tiers:
    - {{name: near, locality: Zone}}
    - {{name: region, locality: Region}}
"
    );
    if http {
        text.push_str("    probe: {http: {path: /healthz}}\n");
    }
    text.push_str("  backends:\n");
    for member in Member::all() {
        let (address, name, zone) = (member.address(), member.name(), member.zone());
        let _ = writeln!(
            text,
            "  - {{address: \"{address}\", node: {name}, zone: {zone}, region: eu}}"
        );
    }
    text
}
