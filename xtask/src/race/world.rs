//! The lab of one fault: replicas and contenders, each on a node of its own. A new one for each
//! fault, so that no contender remembers the one before.

use std::{path::Path, thread};

use anyhow::{Context as _, Result};
use redirector_tests::lab::Lab;

use super::{cast::Member, contender::Contender, entrant::Entrant, fault::Harm, replica::Replica};
use crate::interrupts;

/// Everything that is up. The fields drop from top to bottom.
#[derive(Debug)]
pub(super) struct World {
    pub(super) entrants: Vec<Entrant>,
    replicas: Vec<Replica>,
    lab: Lab,
}

impl World {
    /// Sets everything up. All contenders serve when this returns.
    pub(super) fn set_up(contenders: &[Contender], redirector: &Path) -> Result<Self> {
        let members = Member::all().map(Member::name);
        let nodes: Vec<_> =
            members.chain(contenders.iter().map(|one| one.name().to_owned())).collect();
        let lab = Lab::new(&nodes.iter().map(String::as_str).collect::<Vec<_>>())?;
        let replicas = Member::all()
            .map(|member| Replica::start(member, lab.node(&member.name()).netns()))
            .collect::<Result<_>>()?;
        let mut world = Self { entrants: Vec::new(), replicas, lab };
        for contender in contenders.iter().copied() {
            interrupts::check()?;
            let node = world.lab.node(contender.name());
            let entrant = Entrant::start(contender, node, redirector)
                .with_context(|| format!("cannot start {}", contender.name()))?;
            world.entrants.push(entrant);
        }
        Ok(world)
    }

    /// Does it to all of them at once: a zone does not die replica by replica.
    pub(super) fn harm(&mut self, victims: &[Member], harm: Harm) -> Result<()> {
        let Self { replicas, lab, .. } = self;
        let all = replicas.iter_mut().zip(Member::all());
        let suffering: Vec<_> = all.filter(|(_, member)| victims.contains(member)).collect();
        thread::scope(|scope| {
            let threads: Vec<_> = suffering
                .into_iter()
                .map(|(replica, member)| {
                    let node = lab.node(&member.name());
                    scope.spawn(move || match harm {
                        Harm::Killed => {
                            replica.kill();
                            Ok(())
                        }
                        Harm::BlackHole => node.drop_packets(),
                        Harm::Hung => replica.freeze(),
                    })
                })
                .collect();
            threads.into_iter().try_for_each(|one| one.join().expect("a thread that does harm"))
        })
    }

    /// Kills every agent and proxy, all at once: some take a while to die.
    pub(super) fn kill_contenders(&mut self) {
        thread::scope(|scope| {
            for entrant in &mut self.entrants {
                scope.spawn(|| entrant.running.kill());
            }
        });
    }

    /// Starts replicas again that were killed.
    pub(super) fn restart(&mut self, members: &[Member]) -> Result<()> {
        members.iter().try_for_each(|member| self.replicas[member.index()].restart())
    }

    /// What discovery says from now on, to all.
    pub(super) fn discover(&self, ready: &[Member]) -> Result<()> {
        self.entrants.iter().try_for_each(|entrant| entrant.running.discover(ready))
    }

    /// Takes everything down. Returns what was wrong with a contender, for example an error in an
    /// agent's log.
    pub(super) fn finish(self) -> Vec<String> {
        let Self { entrants, replicas, lab } = self;
        let finished = entrants.into_iter().map(|entrant| {
            let name = entrant.contender.name();
            entrant.finish().err().map(|error| format!("{name}: {error:#}"))
        });
        let complaints = finished.flatten().collect();
        drop((replicas, lab));
        complaints
    }
}
