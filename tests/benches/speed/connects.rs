//! UDP connects: what the programs cost where nothing else happens, by what they have to do.

use anyhow::Result;
use redirector_core::service::Protocol;
use redirector_tests::{bpffs::Bpffs, cgroup::Cgroup};

use crate::{
    bpf::EmptyProgram,
    client::Batch,
    dials::{Contender, Effort, Measured, race_programs},
    goals::Goal,
    ground::Ground,
    redirected::{Memory, Redirected},
    report::{Table, Unit},
    rounds::Series,
    services::{self, Services},
};

const SERVICES: Services = Services { count: 10, protocol: Protocol::Udp };

/// Places in the list of contenders.
const NOTHING: usize = 0;
const EMPTY: usize = 1;
const MISS: usize = 2;
const STATELESS: usize = 3;
const REMEMBERING: usize = 4;

/// Fresh and reused sockets, and the goals they decide.
pub fn measure(ground: &Ground, bpffs: &Bpffs, effort: Effort) -> Result<(Vec<Table>, Vec<Goal>)> {
    let netns = &ground.netns;
    let (direct, service) =
        (services::backends(SERVICES.count), services::frontends(SERVICES.count));
    let none = Cgroup::new("none")?;
    let empty = Cgroup::new("empty")?;
    let _program = EmptyProgram::attach(empty.path())?;
    let capacities = services::DEFAULT_CAPACITIES;
    let mut stateless = Redirected::new(bpffs, "stateless", capacities, Memory::None)?;
    let mut remembering = Redirected::new(bpffs, "remembering", capacities, Memory::Seats)?;
    stateless.populate(SERVICES)?;
    remembering.populate(SERVICES)?;
    let mut contenders = [
        Contender::within("no program", netns, &none, direct)?,
        Contender::within("an empty program", netns, &empty, direct)?,
        Contender::within("no service (a miss)", netns, &remembering.cgroup, direct)?,
        Contender::within("redirected, --peer-name none", netns, &stateless.cgroup, service)?,
        Contender::within("redirected", netns, &remembering.cgroup, service)?,
    ];
    let fresh = race_programs(&mut contenders, Batch::UdpFresh, effort)?;
    let reused = race_programs(&mut contenders, Batch::UdpReused, effort)?;
    let tables = vec![
        table("UDP connect, a fresh socket each time: socket(), connect(), close()", &fresh),
        table("UDP connect, one socket again and again: connect()", &reused),
    ];
    let ratio = |who: usize| programs(&fresh, who, EMPTY);
    let goals = vec![
        Goal::at_most("decision, program time, to an empty program", ratio(STATELESS), 4.5),
        Goal::at_most(
            "with everything, program time, to an empty program",
            ratio(REMEMBERING),
            30.0,
        ),
        Goal::at_most("no service, program time, to an empty program", ratio(MISS), 2.0),
    ];
    Ok((tables, goals))
}

fn table(title: &str, measured: &[Measured]) -> Table {
    let mut table = Table::new(
        title,
        format!("{} services of {} backends.", SERVICES.count, services::BACKENDS),
        &[
            ("wall", Unit::Nanoseconds),
            ("to none", Unit::Ratio),
            ("programs", Unit::Nanoseconds),
            ("to empty", Unit::Ratio),
        ],
    );
    for (who, one) in measured.iter().enumerate() {
        let program = one.program.as_ref().filter(|_| who != NOTHING);
        table.row(
            &one.name,
            &[
                Some(one.wall.median()),
                Some(one.wall.to(&measured[NOTHING].wall).median),
                program.map(Series::median),
                program.map(|_| programs(measured, who, EMPTY)),
            ],
        );
    }
    table
}

/// Program time of one contender to that of another.
fn programs(measured: &[Measured], who: usize, base: usize) -> f64 {
    match (&measured[who].program, &measured[base].program) {
        (Some(one), Some(other)) => one.to(other).median,
        _ => f64::NAN,
    }
}
