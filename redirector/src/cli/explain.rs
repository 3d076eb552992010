//! `redirector explain` and `simulate`: why connections go where they go, and where they would.

#![expect(clippy::print_stdout, reason = "command-line output")]

use std::fmt::Write as _;

use anyhow::Result;
use redirector_core::{
    explain::{Elsewhere, Explanation, Family, Member, Suspicion, Tier},
    input::Drained,
};

use super::options::{Output, OutputArgs, RunArgs};

/// Flags of `explain`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ExplainArgs {
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    output: OutputArgs,
    /// The service, as `status` names it; without `:port`, all ports of it
    service: String,
}

/// Flags of `simulate`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct SimulateArgs {
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    output: OutputArgs,
    /// What is supposed to be dead: `backend=ADDRESS:PORT`, `node=NAME`, `zone=NAME`,
    /// `cluster=NAME`; in another cluster `node=CLUSTER/NAME` and `zone=CLUSTER/NAME`
    #[arg(long, required_unless_present = "silent", num_args = 1.., value_name = "SUBJECT")]
    dead: Vec<Drained>,
    /// Other clusters of which the importer is supposed to hear nothing: `cluster=NAME`. Those of their
    /// backends that answer probes now are supposed to answer then
    #[arg(long, num_args = 1.., value_name = "CLUSTER", value_parser = cluster)]
    silent: Vec<Drained>,
    /// Only this service, without `:port` all ports of it; otherwise all whose traffic would go elsewhere
    service: Option<String>,
}

pub(super) fn explain(args: &ExplainArgs) -> Result<()> {
    for explanation in args.run.client().explain(Some(&args.service), &[])? {
        match args.output.output {
            Output::Json => println!("{}", serde_json::to_string(&explanation)?),
            Output::Text => print!("{}", describe(&explanation)),
        }
    }
    Ok(())
}

pub(super) fn simulate(args: &SimulateArgs) -> Result<()> {
    let client = args.run.client();
    let service = args.service.as_deref();
    let now = client.explain(service, &[])?;
    let then = client.simulate(service, &args.dead, &args.silent)?;
    let mut supposed: Vec<_> = now.iter().zip(&then).collect();
    // The agent may have taken in news between the two.
    supposed.retain(|(now, then)| now.service == then.service);
    if service.is_none() {
        supposed.retain(|(now, then)| !is_same(now, then));
    }
    match args.output.output {
        Output::Json => {
            let then: Vec<&Explanation> = supposed.iter().map(|(_, then)| *then).collect();
            match then[..] {
                [then] if service.is_some() => println!("{}", serde_json::to_string(then)?),
                _ => println!("{}", serde_json::to_string(&then)?),
            }
        }
        Output::Text if supposed.is_empty() => println!("no service's traffic would go elsewhere"),
        Output::Text => {
            for (now, then) in supposed {
                print!("{}", compare(now, then));
            }
        }
    }
    Ok(())
}

/// A cluster: nothing else is silent as a whole.
fn cluster(text: &str) -> Result<Drained, String> {
    match text.parse() {
        Ok(subject @ Drained::Cluster(_)) => Ok(subject),
        Ok(_) | Err(_) => Err("write cluster=NAME; only clusters are silent".to_owned()),
    }
}

/// Whether traffic would go the same ways.
fn is_same(now: &Explanation, then: &Explanation) -> bool {
    let loads = |family: &Family| -> Vec<u8> { family.tiers.iter().map(|t| t.load).collect() };
    now.families
        .iter()
        .zip(&then.families)
        .all(|(now, then)| now.is_all_down == then.is_all_down && loads(now) == loads(then))
}

fn compare(now: &Explanation, then: &Explanation) -> String {
    let mut text = format!("{}\n", then.service);
    if let Some(not_installed) = &now.not_installed {
        let _ = writeln!(text, "  {}", not_installed.heading());
    }
    for (now, then) in now.families.iter().zip(&then.families) {
        head(&mut text, then, "would be");
        for tier in &then.tiers {
            let before = now.tiers.iter().find(|other| other.name == tier.name);
            let before = before.map_or(0, |tier| tier.load);
            let (healthy, all) = (tier.healthy, tier.backends.len());
            let (name, load) = (&tier.name, tier.load);
            let _ = writeln!(
                text,
                "    {name:<16} {before:>3} % -> {load:>3} %   {healthy} of {all} healthy"
            );
        }
    }
    text
}

fn describe(explanation: &Explanation) -> String {
    let Explanation {
        service,
        mode,
        all_down,
        forced,
        not_in_force,
        not_installed,
        families,
        clusters,
    } = explanation;
    let mut text = format!("{service}  mode {mode}, all down: {all_down}\n");
    if let Some(lost) = not_in_force {
        let _ = writeln!(text, "  not in force on this node: {lost}");
    }
    if let Some(not_installed) = not_installed {
        let _ = writeln!(text, "  {}", not_installed.heading());
    }
    if let Some(tier) = forced {
        let _ = writeln!(
            text,
            "  an operator has forced everything to the tier {tier}, on this node alone"
        );
    }
    for elsewhere in clusters {
        describe_cluster(&mut text, elsewhere);
    }
    for family in families {
        head(&mut text, family, "is");
        let Family { tiers, without_tier, without_tier_localities, .. } = family;
        for tier in tiers {
            describe_tier(&mut text, tier);
        }
        for (number, backend) in without_tier.iter().enumerate() {
            let locality = without_tier_localities.get(number).cloned().unwrap_or_default();
            let _ = writeln!(text, "    {backend} ({locality}) fits no tier and gets nothing");
        }
    }
    text
}

fn describe_cluster(text: &mut String, elsewhere: &Elsewhere) {
    let Elsewhere { cluster, phase, is_unreachable, healthy, backends, at_rest, unaskable } =
        elsewhere;
    let phase = phase.as_deref().unwrap_or("no RemoteCluster of that name");
    let _ = write!(text, "  cluster {cluster}: {phase}, {healthy} of {backends} healthy");
    if *is_unreachable {
        text.push_str("; none of its backends answers this node, so that all are out");
    }
    if *at_rest > 0 {
        let _ = write!(
            text,
            "; {at_rest} get no connections from here, and are probed in turn (--remote-probes)"
        );
    }
    if *unaskable > 0 {
        let _ = write!(
            text,
            "; {unaskable} cannot be probed (UDP), and are out with its others, or once it is lost"
        );
    }
    text.push('\n');
}

/// The lines before the tiers of a family.
fn head(text: &mut String, Family { family, is_all_down, tiers, .. }: &Family, is: &str) {
    let _ = writeln!(text, "  {family}");
    if tiers.is_empty() {
        text.push_str("    no backends: connects are refused\n");
    } else if *is_all_down {
        let _ = writeln!(text, "    nobody {is} healthy: the all-down policy decides");
    }
}

fn describe_tier(text: &mut String, tier: &Tier) {
    let Tier {
        number,
        name,
        of_service,
        is_unresolved,
        vacant,
        load,
        due,
        hold,
        healthy,
        backends,
    } = tier;
    let of = of_service.as_ref().map(|service| format!(", of {service}")).unwrap_or_default();
    let all = backends.len();
    let _ = write!(text, "    tier {number} {name}{of}: {load} %, {healthy} of {all} healthy");
    if load != due {
        let _ = write!(text, "; by health alone {due} %");
    }
    if let Some(hold) = hold {
        let _ = write!(text, "; {hold}");
    }
    if *is_unresolved {
        text.push_str("; that service does not exist");
    } else if let Some(why) = vacant {
        let _ = write!(text, "; {why}");
    }
    text.push('\n');
    for member in backends {
        let Member { backend, locality, weight: _, share, probes, objections, .. } = member;
        let backend = backend.to_string();
        let _ = writeln!(text, "      {backend:<26} {share:>6.2} %  {locality}; probes: {probes}");
        for objection in objections {
            let (by, why, ago) = (&objection.by, &objection.why, objection.seconds);
            let _ = writeln!(text, "        {by}: {why}, for {ago:.0} s");
        }
        if let Some(why) = &member.unwatched {
            let _ = writeln!(text, "        {why}");
        }
        for Suspicion { what, seconds } in &member.suspicions {
            let _ = writeln!(text, "        suspected, for {seconds:.0} s: {what}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_cluster_can_be_silent() {
        assert_eq!(cluster("cluster=west"), Ok(Drained::Cluster("west".into())));
        for text in ["west", "zone=a", "node=west/n1", "cluster="] {
            let error = cluster(text).expect_err(text);
            assert_eq!(error, "write cluster=NAME; only clusters are silent");
        }
    }

    #[test]
    fn another_cluster_is_a_line() {
        let line = |phase: Option<&str>, is_unreachable, (at_rest, unaskable)| {
            let mut text = String::new();
            describe_cluster(
                &mut text,
                &Elsewhere {
                    cluster: "west".into(),
                    phase: phase.map(str::to_owned),
                    is_unreachable,
                    healthy: 9,
                    backends: 10,
                    at_rest,
                    unaskable,
                },
            );
            text
        };
        assert_eq!(line(Some("Live"), false, (0, 0)), "  cluster west: Live, 9 of 10 healthy\n");
        assert_eq!(
            line(None, true, (0, 0)),
            "  cluster west: no RemoteCluster of that name, 9 of 10 healthy; none of its backends \
             answers this node, so that all are out\n"
        );
        assert_eq!(
            line(Some("Silent"), false, (7, 0)),
            "  cluster west: Silent, 9 of 10 healthy; 7 get no connections from here, and are \
             probed in turn (--remote-probes)\n"
        );
        assert_eq!(
            line(Some("Silent"), false, (0, 10)),
            "  cluster west: Silent, 9 of 10 healthy; 10 cannot be probed (UDP), and are out with \
             its others, or once it is lost\n"
        );
    }
}
