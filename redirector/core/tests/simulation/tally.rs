//! What all worlds went through.

use std::fmt;

/// What can happen to a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Refused,
    BlackHole,
    Flap,
    NodeLoss,
    ZoneLoss,
    OwnNetwork,
    AllProbesFail,
    ProbesFailConnectsWork,
    ConnectsFailProbesWork,
    HostileClient,
    Denied,
    ListenerDeath,
    AgentStopped,
    AgentRestarted,
    EventsLost,
    ClockStep,
    EqualMoments,
    Updated,
    Drained,
    /// Another cluster is not heard, and answers; is not to be used then; is dead, too.
    ClusterUnheard,
    ClusterDropped,
    ClusterDead,
    /// It is dead, and no importer says so.
    ClusterCut,
    /// The agent starts anew while it is dead.
    ClusterRestart,
}

impl Fault {
    pub const ALL: [Self; 24] = [
        Self::Refused,
        Self::BlackHole,
        Self::Flap,
        Self::NodeLoss,
        Self::ZoneLoss,
        Self::OwnNetwork,
        Self::AllProbesFail,
        Self::ProbesFailConnectsWork,
        Self::ConnectsFailProbesWork,
        Self::HostileClient,
        Self::Denied,
        Self::ListenerDeath,
        Self::AgentStopped,
        Self::AgentRestarted,
        Self::EventsLost,
        Self::ClockStep,
        Self::EqualMoments,
        Self::Updated,
        Self::Drained,
        Self::ClusterUnheard,
        Self::ClusterDropped,
        Self::ClusterDead,
        Self::ClusterCut,
        Self::ClusterRestart,
    ];
}

#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub worlds: u64,
    pub inputs: u64,
    pub connects: u64,
    pub trials: u64,
    pub ejections: u64,
    pub readmissions: u64,
    pub failovers: u64,
    pub suspicions: u64,
    pub silent_nodes: u64,
    pub resets: u64,
    /// Clients that a probe contradicted, and how often the kernel believed several of them.
    pub contradictions: u64,
    pub suspected: u64,
    /// How often a cluster was out as a whole, as the importer or as the node saw it; and back.
    pub unreachable: [u64; 2],
    pub reachable: u64,
    pub hours: f64,
    faults: [u64; Fault::ALL.len()],
}

impl Tally {
    pub fn met(&mut self, fault: Fault) {
        self.faults[fault as usize] += 1;
    }

    pub fn count(&self, fault: Fault) -> u64 {
        self.faults[fault as usize]
    }

    pub fn and(mut self, other: Self) -> Self {
        let Self { worlds, inputs, connects, trials, ejections, readmissions, .. } = other;
        let Self { failovers, suspicions, silent_nodes, resets, hours, faults, .. } = other;
        self.contradictions += other.contradictions;
        self.suspected += other.suspected;
        self.reachable += other.reachable;
        for (mine, its) in self.unreachable.iter_mut().zip(other.unreachable) {
            *mine += its;
        }
        self.worlds += worlds;
        self.inputs += inputs;
        self.connects += connects;
        self.trials += trials;
        self.ejections += ejections;
        self.readmissions += readmissions;
        self.failovers += failovers;
        self.suspicions += suspicions;
        self.silent_nodes += silent_nodes;
        self.resets += resets;
        self.hours += hours;
        for (mine, its) in self.faults.iter_mut().zip(faults) {
            *mine += its;
        }
        self
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { worlds, inputs, connects, trials, hours, .. } = self;
        writeln!(f, "{worlds} worlds, {hours:.0} hours, {inputs} inputs, {connects} connects")?;
        let Self { ejections, readmissions, failovers, suspicions, silent_nodes, resets, .. } =
            self;
        writeln!(f, "{ejections} ejections, {readmissions} re-admissions, {failovers} failovers")?;
        writeln!(f, "{suspicions} suspicions, {silent_nodes} backends out with their node")?;
        writeln!(f, "{resets} resets, {trials} trials without an agent")?;
        let Self { contradictions, suspected, .. } = self;
        writeln!(f, "{contradictions} clients contradicted, several {suspected} times believed")?;
        let Self { unreachable: [seen, told], reachable, .. } = self;
        writeln!(
            f,
            "clusters {told} times silent and dead, {seen} by inference, {reachable} back"
        )?;
        let most = self.faults.iter().copied().max().unwrap_or(1).max(1);
        for fault in Fault::ALL {
            let count = self.count(fault);
            let bar = "#".repeat((count * 40).div_ceil(most) as usize);
            writeln!(f, "{:<24}{count:>8} {bar}", format!("{fault:?}"))?;
        }
        Ok(())
    }
}
