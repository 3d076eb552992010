//! Connects to one of many services, at random: what the number of services costs.

use anyhow::Result;
use redirector_core::service::Protocol;
use redirector_tests::bpffs::Bpffs;

use crate::{
    client::Batch,
    dials::{Contender, Effort, race_programs},
    goals::Goal,
    ground::Ground,
    redirected::{Memory, Redirected, Stages},
    report::{Table, Unit},
    rounds::Series,
    services::{self, Services},
};

/// The goal compares the last two.
const COUNTS: [u32; 3] = [10, 10_000, 100_000];

/// UDP connects on fresh sockets, with and without per-socket state. Also how long it took to
/// populate the last of [`COUNTS`], each time.
pub fn measure(
    ground: &Ground,
    bpffs: &Bpffs,
    effort: Effort,
) -> Result<(Table, Vec<Goal>, Vec<Stages>)> {
    let mut contenders = Vec::new();
    let mut redirected = Vec::new();
    let mut populated = Vec::new();
    for memory in [Memory::None, Memory::Seats] {
        for count in COUNTS {
            let services = Services { count, protocol: Protocol::Udp };
            let (suffix, key) = match memory {
                Memory::None => (", --peer-name none", "few"),
                _ => ("", "all"),
            };
            let name = format!("scale-{key}-{count}");
            let mut one = Redirected::new(bpffs, &name, services.exact_capacities(), memory)?;
            let stages = one.populate(services)?;
            if Some(&count) == COUNTS.last() {
                populated.push(stages);
            }
            contenders.push(Contender::within(
                &format!("{count} services{suffix}"),
                &ground.netns,
                &one.cgroup,
                services::frontends(count),
            )?);
            redirected.push(one);
        }
    }
    let measured = race_programs(&mut contenders, Batch::UdpFresh, effort)?;
    let mut table = Table::new(
        "UDP connect to one of many services, fresh sockets",
        format!("Each service has {} backends of its own.", services::BACKENDS),
        &[
            ("wall", Unit::Nanoseconds),
            ("to 10,000", Unit::Ratio),
            ("programs", Unit::Nanoseconds),
            ("to 10,000", Unit::Ratio),
        ],
    );
    let mut ratios = Vec::new();
    for (who, one) in measured.iter().enumerate() {
        let base = &measured[who / COUNTS.len() * COUNTS.len() + COUNTS.len() - 2];
        let ratio = one.program.as_ref().zip(base.program.as_ref());
        let ratio = ratio.map(|(one, base)| one.to(base).median);
        ratios.push(ratio.unwrap_or(f64::NAN));
        table.row(
            &one.name,
            &[
                Some(one.wall.median()),
                Some(one.wall.to(&base.wall).median),
                one.program.as_ref().map(Series::median),
                ratio,
            ],
        );
    }
    let (decision, everything) = (ratios[COUNTS.len() - 1], ratios[2 * COUNTS.len() - 1]);
    let goal =
        Goal::at_most("100,000 services, program time, to 10,000", decision.max(everything), 1.6)
            .remark(format!("decision {decision:.3}, with everything {everything:.3}"));
    Ok((table, vec![goal], populated))
}
