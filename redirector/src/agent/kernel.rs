//! What the kernel did by itself, told to the state; what the state asks for once, done to the
//! kernel.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use redirector_common::{EventKind, EventValue, HealthByte};
use redirector_core::{
    Command, Input,
    input::{ClientId, KernelEvent},
    service::{BackendRef, Frontend, OnBackendLost, Protocol, Service},
};
use tracing::{debug, info, warn};

use super::{Agent, log::Several};
use crate::datapath::{Destroyed, Kept, monotonic};

impl Agent {
    /// Takes in what the kernel did. News of an index that is another backend's by now is old.
    pub(super) fn take_event(&mut self, event: &EventValue) {
        let EventValue { kind, backend: index, generation, ejections, client, until } = *event;
        let Ok(kind) = EventKind::try_from(kind) else {
            return debug!(kind, "an event of an unknown kind");
        };
        let Some(backend) = self.installed.backend_at(index, generation) else {
            return debug!(index, generation, ?kind, "an event of a backend that is gone");
        };
        let client = ClientId { cgroup: client.cgroup, netns: client.netns };
        let event = match kind {
            EventKind::AvoidedRefused | EventKind::AvoidedTimedOut => {
                KernelEvent::Avoided { refused: kind == EventKind::AvoidedRefused, client }
            }
            EventKind::SuspectedRefused | EventKind::SuspectedTimedOut => KernelEvent::Suspected {
                refused: kind == EventKind::SuspectedRefused,
                client,
                lasts: Duration::from_nanos(until.saturating_sub(monotonic().unwrap_or(until))),
                ejections,
            },
            EventKind::AvoidedUnresponsive | EventKind::SuspectedUnresponsive => {
                let is_held = kind == EventKind::SuspectedUnresponsive;
                KernelEvent::Unresponsive { client, is_held }
            }
            EventKind::Readmitted => KernelEvent::Readmitted,
            EventKind::ListenerGone => KernelEvent::ListenerGone,
            EventKind::ListenerBack => KernelEvent::ListenerBack,
        };
        self.take(Input::Kernel { backend, event });
    }

    /// Tells the state which backends this node's sockets use, and which the kernel holds back
    /// without the state's knowledge, twice in a row: its news was lost, or found maps that were
    /// just adopted anew. A question of the kernel's that was lost likewise is answered, so that it
    /// asks again; and what clients have forgotten is removed.
    pub(super) fn sweep(&mut self) {
        self.log.sweep();
        self.note_disuse();
        let mut used = Vec::new();
        let mut unsaid = BTreeSet::new();
        let mut unheard = BTreeSet::new();
        for (backend, index) in self.installed.backends() {
            let seen = self.datapath.take_seen(index);
            used.extend(seen.used_from.map(|network| (*backend, network)));
            if seen.is_asked && !self.state.is_asked(backend) {
                unheard.insert(*backend);
            }
            let word = self.datapath.health(index).unwrap_or_default();
            if word.is_usable() {
                continue;
            }
            for byte in [HealthByte::Passive, HealthByte::Listener] {
                let found = word.byte(byte);
                if found != 0 && !self.state.is_told(backend, byte) {
                    unsaid.insert((*backend, byte, found));
                }
            }
        }
        let lost: Vec<_> = unsaid.intersection(&self.unsaid).copied().collect();
        self.unsaid = unsaid;
        let unanswered: Vec<_> = unheard.intersection(&self.unheard).copied().collect();
        self.unheard = unheard;
        for backend in unanswered {
            if let Err(error) = self.try_carry_out(&Command::Answered(backend)) {
                warn!(%backend, error = format!("{error:#}"), "cannot answer the kernel");
            }
        }
        let indices = self.installed.backends().map(|(_, index)| index);
        if let Err(error) = self.datapath.sweep_avoided(indices) {
            warn!(error = format!("{error:#}"), "cannot sweep what clients avoid");
        }
        self.tell_of_unseen();
        self.halve_waits();
        if !lost.is_empty() {
            let backends: Vec<_> = lost.iter().map(|(backend, ..)| *backend).collect();
            warn!(lost = %Several(&backends), "ejected by the kernel, whose news of it was lost");
            self.take(Input::Restore(lost));
        }
        if !used.is_empty() {
            self.take(Input::Used(used));
        }
    }

    /// What was slow once is not slow for ever.
    fn halve_waits(&mut self) {
        if Instant::now() < self.halve_at {
            return;
        }
        self.halve_at = Instant::now() + super::HALVE;
        let indices = self.installed.backends().map(|(_, index)| index);
        if let Err(error) = self.datapath.halve_waits(indices) {
            warn!(error = format!("{error:#}"), "cannot forget how long answers took");
        }
    }

    /// Says once that connects end unseen.
    fn tell_of_unseen(&mut self) {
        let Ok(unseen) = self.datapath.unseen() else { return };
        let before = *self.unseen.get_or_insert(unseen);
        if unseen > before && !std::mem::replace(&mut self.is_unseen_told, true) {
            warn!(
                connects = unseen - before,
                "another sock_ops program takes the callbacks of sockets away: connects are not \
                 bounded, and how they failed is judged when they are closed; `redirector check` \
                 names it"
            );
        }
    }

    /// Does what the state asks for. What fails is said and left: the next ejection or probe asks
    /// again.
    pub(super) fn carry_out(&mut self) {
        let mut lost = Vec::new();
        let mut left = Vec::new();
        for command in self.state.take_commands() {
            if let Command::Reset(backend) = command {
                lost.push(backend);
            } else if let Command::EndFlows(backend) = command {
                left.push(backend);
            } else if let Err(error) = self.try_carry_out(&command) {
                warn!(?command, error = format!("{error:#}"), "cannot do what health asks for");
            }
        }
        if !lost.is_empty() || !left.is_empty() {
            self.reset(lost, left);
        }
    }

    fn try_carry_out(&mut self, command: &Command) -> Result<()> {
        let (Command::Readmit { backend, .. }
        | Command::Eject { backend, .. }
        | Command::Vouch { backend, .. }
        | Command::Answered(backend)
        | Command::Forgive(backend)
        | Command::Reset(backend)
        | Command::EndFlows(backend)) = command;
        // A backend without an index has nothing to be changed.
        let Some((index, _)) = self.installed.backend(backend) else { return Ok(()) };
        match command {
            Command::Readmit { byte, .. } => self.datapath.readmit(index, *byte)?,
            Command::Eject { byte, unresponsive, .. } => {
                self.datapath.eject(index, *byte, *unresponsive)?;
            }
            Command::Forgive(_) => self.datapath.forgive(index)?,
            Command::Vouch { lasts, answers, .. } => {
                self.datapath.vouch(index, *lasts, *answers)?;
            }
            Command::Answered(_) => self.datapath.answered(index)?,
            Command::Reset(_) | Command::EndFlows(_) => return Ok(()),
        }
        self.outputs.metrics.wrote(1);
        Ok(())
    }

    /// Destroys the established connections to lost backends, and the UDP flows to those that have
    /// left their service, beside this task: that takes a millisecond per network namespace.
    fn reset(&mut self, lost: Vec<BackendRef>, left: Vec<BackendRef>) {
        let is_wanted = !lost.is_empty();
        let kept = self.kept(&lost, &left);
        let lost = [lost, left].concat();
        let is_said = self.log.allows_reset(&lost);
        let resets = match &self.resets {
            Ok(resets) => Arc::clone(resets),
            Err(why) => {
                let lost = Several(&lost);
                if !is_wanted {
                    debug!(%lost, why, "connected UDP sockets stay with backends that are gone");
                } else if is_said {
                    warn!(%lost, why, "cannot reset connections to lost backends");
                }
                return;
            }
        };
        tokio::task::spawn_blocking(move || {
            let destroyed = resets.destroy_but(&lost, &kept);
            let lost = Several(&lost);
            match destroyed {
                Ok(done) if is_said => {
                    let Destroyed { tcp, udp, namespaces, failed, unreadable, took } = done;
                    info!(
                        %lost, tcp, udp, namespaces, failed, unreadable, ?took,
                        "reset the connections to lost backends"
                    );
                }
                Err(error) if is_said => {
                    warn!(%lost, error = format!("{error:#}"), "cannot reset connections");
                }
                _ => {}
            }
        });
    }

    /// Connections that stay, of those to `lost`: their owners have dialled the same backend by
    /// another service.
    fn kept(&self, lost: &[BackendRef], left: &[BackendRef]) -> Kept {
        let keeps = |service: &&Service| service.policy.on_backend_lost == OnBackendLost::Keep;
        let frontends = |service: &Service, protocol| {
            let frontends = service.frontends.iter();
            let frontends = frontends.filter(move |frontend| frontend.protocol == protocol);
            let address = |frontend: &Frontend| SocketAddr::new(frontend.address, frontend.port);
            frontends.map(address).collect::<Vec<_>>()
        };
        let tcp = self.state.services().filter(keeps);
        let tcp = tcp.flat_map(|service| frontends(service, Protocol::Tcp)).collect();
        let udp = lost.iter().chain(left).filter(|backend| backend.protocol == Protocol::Udp);
        let udp = udp.flat_map(|backend| {
            let peer = peer(backend);
            let users = self.state.users(backend).filter(keeps);
            let kept = users.flat_map(|service| frontends(service, Protocol::Udp));
            kept.map(move |frontend| (peer, frontend))
        });
        Kept { tcp, udp: udp.collect(), unless_known: left.iter().map(peer).collect() }
    }
}

fn peer(backend: &BackendRef) -> SocketAddr {
    SocketAddr::new(backend.address, backend.port)
}
