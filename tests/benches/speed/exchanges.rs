//! TCP through everyone who could stand between client and server.

use anyhow::{Context as _, Result};
use redirector_core::service::Protocol;
use redirector_tests::{bpffs::Bpffs, cgroup::Cgroup};

use crate::{
    bpf::EmptyProgram,
    client::Batch,
    dials::{Contender, Effort, race, race_programs},
    goals::Goal,
    ground::Ground,
    redirected::{Memory, Redirected},
    report::{Table, Unit},
    rounds::Series,
    services::{self, Services},
};

const SERVICES: Services = Services { count: 10, protocol: Protocol::Tcp };

const DIRECT: usize = 0;
const DIRECT_AGAIN: usize = 1;
const EMPTY: usize = 2;
const STATELESS: usize = 3;
const REDIRECTED: usize = 4;
const BLIND: usize = 5;
const AVOIDED: usize = 6;
/// Without rules or a proxy: the ones with programs of ours, or none.
const PLAIN: usize = 7;

/// Numbers of services for which others write rules.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    pub iptables: &'static [u32],
    pub nftables: &'static [u32],
}

/// Connect-request-response-close, and request-response on an open connection.
pub fn measure(
    ground: &Ground,
    bpffs: &Bpffs,
    effort: Effort,
    rules: Rules,
) -> Result<(Vec<Table>, Vec<Goal>)> {
    let netns = &ground.netns;
    let (direct, service) =
        (services::backends(SERVICES.count), services::frontends(SERVICES.count));
    let none = Cgroup::new("none-tcp")?;
    let empty = Cgroup::new("empty-tcp")?;
    let _program = EmptyProgram::attach(empty.path())?;
    let capacities = services::DEFAULT_CAPACITIES;
    let mut stateless = Redirected::new(bpffs, "stateless-tcp", capacities, Memory::None)?;
    let mut remembering = Redirected::new(bpffs, "remembering-tcp", capacities, Memory::Seats)?;
    let mut blind = Redirected::new(bpffs, "blind-tcp", capacities, Memory::Storage)?;
    blind.blindfold()?;
    blind.populate(SERVICES)?;
    let mut avoided = Redirected::new(bpffs, "avoided-tcp", capacities, Memory::Seats)?;
    avoided.populate(SERVICES)?;
    avoided.mark_one_of_each(SERVICES)?;
    stateless.populate(SERVICES)?;
    remembering.populate(SERVICES)?;
    let mut contenders = vec![
        Contender::within("direct", netns, &none, direct)?,
        Contender::within("direct, once more (the noise)", netns, &none, direct)?,
        Contender::within("an empty program", netns, &empty, direct)?,
        Contender::within("redirector, --peer-name none", netns, &stateless.cgroup, service)?,
        Contender::within("redirector", netns, &remembering.cgroup, service)?,
        Contender::within(
            "redirector before passive health and seats",
            netns,
            &blind.cgroup,
            service,
        )?,
        Contender::within(
            "redirector, another client avoids one backend of ten",
            netns,
            &avoided.cgroup,
            service,
        )?,
    ];
    let mut grounds = Vec::new();
    for &count in rules.iptables {
        let ground = Ground::iptables(count)?;
        let name = format!("iptables, {count} services");
        contenders.push(Contender::new(&name, &ground.netns, services::frontends(count))?);
        grounds.push(ground);
    }
    for &count in rules.nftables {
        let ground = Ground::nftables(count)?;
        let name = format!("nftables, {count} services");
        contenders.push(Contender::new(&name, &ground.netns, services::frontends(count))?);
        grounds.push(ground);
    }
    let ground = Ground::haproxy()?;
    contenders.push(Contender::new("HAProxy", &ground.netns, services::frontends(1))?);
    grounds.push(ground);

    let names: Vec<String> = contenders.iter().map(|contender| contender.name.clone()).collect();
    let exchanges = race(&mut contenders, Batch::Exchange, effort)?;
    let requests = race(&mut contenders, Batch::RequestResponse, effort)?;
    let few = Effort { rounds: effort.rounds.div_ceil(4), ..effort };
    let programs = race_programs(&mut contenders[..PLAIN], Batch::Exchange, few)?;

    let mut table = Table::new(
        "TCP over lo; client, server and proxy on one CPU",
        format!(
            "CRRC: connect, request, response, close on fresh sockets. RR: request, response on an\n\
             open connection. Redirector: {} services of {} backends; programs per connection.",
            SERVICES.count,
            services::BACKENDS
        ),
        &[
            ("CRRC", Unit::Microseconds),
            ("to direct", Unit::Ratio),
            ("RR", Unit::Microseconds),
            ("to direct", Unit::Ratio),
            ("programs", Unit::Nanoseconds),
        ],
    );
    for (who, name) in names.iter().enumerate() {
        let program = programs.get(who).filter(|_| who >= EMPTY);
        table.row(
            name,
            &[
                Some(exchanges[who].median() / 1e3),
                Some(exchanges[who].to(&exchanges[DIRECT]).median),
                Some(requests[who].median() / 1e3),
                Some(requests[who].to(&requests[DIRECT]).median),
                program.and_then(|measured| Some(measured.program.as_ref()?.median())),
            ],
        );
    }
    let exchange = exchanges[REDIRECTED].to(&exchanges[DIRECT]);
    let stateless = exchanges[STATELESS].to(&exchanges[DIRECT]);
    let of = |who: usize| programs[who].program.as_ref().context("no programs");
    let watching = of(REDIRECTED)?.to(of(BLIND)?);
    let asking = of(AVOIDED)?.to(of(REDIRECTED)?);
    let goals = vec![
        Goal::at_most(
            "programs per connection, to before passive health and seats",
            watching.median,
            1.25,
        )
        .remark(format!("95 % of {:.3} to {:.3}", watching.low, watching.high)),
        Goal::at_most(
            "programs per connection where another client avoids one of ten, to where none does",
            asking.median,
            1.15,
        )
        .remark(format!("95 % of {:.3} to {:.3}", asking.low, asking.high)),
        Goal::at_most("connect-request-response-close, to direct", exchange.median, 1.10).remark(
            format!(
                "95 % of {:.3} to {:.3}; {:.3} with --peer-name none",
                exchange.low, exchange.high, stateless.median
            ),
        ),
        request_response(&requests),
    ];
    Ok((vec![table], goals))
}

/// Noise is how far "direct" may be from itself, with 95 % confidence; 1 % at least.
fn request_response(requests: &[Series]) -> Goal {
    let itself = requests[DIRECT_AGAIN].to(&requests[DIRECT]);
    let noise = (itself.high - 1.0).max(1.0 - itself.low).max(0.01);
    let ratio = requests[REDIRECTED].to(&requests[DIRECT]).median;
    Goal::at_most("request-response, to direct, within noise", ratio, 1.0 + noise)
        .remark(format!("direct to itself: {:.3} to {:.3}", itself.low, itself.high))
}
