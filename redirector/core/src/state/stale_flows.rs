//! Ends connected UDP flows to backends that have left their service.
//!
//! Such a socket has no end by itself: it would send to that backend for ever. So it is ended
//! whatever the policy says, as kube-proxy ends such flows (`conntrack/cleanup.go`). Its next send
//! must have somewhere to go: until another backend carries load, the flow waits.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
};

use super::services::Services;
use crate::{
    input::Command,
    service::{BackendRef, Frontend, OnBackendLost, Protocol, Service, ServiceRef},
    tables::Tables,
};

/// Most backends that one service has waiting: a source cannot make the agent grow.
const MAX_WAITING: usize = 256;
/// Most services that are gone and may come back. With more of them all are forgotten.
const MAX_GONE: usize = 1_024;

/// UDP backends that have left.
#[derive(Clone, Debug, Default)]
pub(super) struct StaleFlows {
    /// Where an earlier agent's frontends lead, until a source has said what there is.
    adopted: Vec<(Frontend, BackendRef)>,
    /// Backends whose flows are to be ended, by the service that listed them.
    waiting: BTreeMap<ServiceRef, BTreeSet<BackendRef>>,
}

impl StaleFlows {
    pub(super) fn adopt(&mut self, pairs: Vec<(Frontend, BackendRef)>) {
        self.adopted = pairs;
        self.adopted.retain(|(frontend, _)| frontend.protocol == Protocol::Udp);
    }

    /// `service` will list `still` from now on.
    pub(super) fn relist(&mut self, service: &Service, still: &BTreeSet<BackendRef>) {
        let has_left =
            |backend: &BackendRef| backend.protocol == Protocol::Udp && !still.contains(backend);
        for backend in service.backend_refs().filter(has_left) {
            self.add(&service.name, backend);
        }
    }

    /// Ends what can be ended by now, and forgets what is listed again; a source has said what there
    /// is. While this node's own network is suspected its lists may be old, too: then no flow ends.
    pub(super) fn end(
        &mut self,
        services: &Services,
        tables: &Tables,
        is_suspect: bool,
        commands: &mut Vec<Command>,
    ) {
        for (frontend, backend) in mem::take(&mut self.adopted) {
            if let Some(service) = services.holder(&frontend) {
                self.add(service, backend);
            }
        }
        if self.waiting.is_empty() || is_suspect {
            return;
        }
        let gone = self.waiting.keys().filter(|name| services.get(name).is_none()).count();
        self.waiting.retain(|name, left| {
            let Some(service) = services.get(name) else { return gone <= MAX_GONE };
            for backend in &service.backends {
                left.remove(&backend.backend);
            }
            let tables = &tables.services[name];
            left.retain(|backend| {
                let table = if backend.address.is_ipv4() { &tables.v4 } else { &tables.v6 };
                let is_replaced = table.carrier.is_some();
                if is_replaced {
                    commands.push(match service.policy.on_backend_lost {
                        OnBackendLost::Reset => Command::Reset(*backend),
                        OnBackendLost::Keep => Command::EndFlows(*backend),
                    });
                }
                !is_replaced
            });
            !left.is_empty()
        });
    }

    fn add(&mut self, service: &ServiceRef, backend: BackendRef) {
        let waiting = self.waiting.entry(service.clone()).or_default();
        if waiting.len() < MAX_WAITING {
            waiting.insert(backend);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::tests::service, *};
    use crate::{
        State,
        input::{Drained, Input, Moment, Verb},
    };

    const OLD: &str = "10.1.2.1";
    const NEW: &str = "10.1.2.2";

    /// A service of this protocol that lists these backends; each name has an address of its own.
    fn listed(name: &str, protocol: Protocol, backends: &[&str]) -> Service {
        let frontend = if name == "a" { "10.96.0.9" } else { "10.96.0.10" };
        let mut service = service(name, frontend, backends);
        service.frontends[0].protocol = protocol;
        for listed in &mut service.backends {
            listed.backend.protocol = protocol;
        }
        service
    }

    fn udp(backends: &[&str]) -> Service {
        listed("a", Protocol::Udp, backends)
    }

    fn old() -> BackendRef {
        udp(&[OLD]).backends[0].backend
    }

    /// How often the flows to the old backend are ended after each of these inputs.
    fn resets<const N: usize>(inputs: [Input; N]) -> [usize; N] {
        let mut state = State::new();
        inputs.map(|input| {
            state.apply(input, Moment(Duration::ZERO));
            let commands = state.take_commands();
            let is_end = |command: &&Command| **command == Command::EndFlows(old());
            let ends = commands.iter().filter(is_end).count();
            let is_other =
                |command: &Command| matches!(command, Command::Reset(_) | Command::EndFlows(_));
            assert_eq!(commands.iter().filter(|command| is_other(command)).count(), ends);
            ends
        })
    }

    #[test]
    fn a_flow_ends_when_its_backend_leaves_and_another_serves() {
        let list = |backends: &[&str]| Input::Replace(vec![udp(backends)]);
        let put = |backends: &[&str]| Input::Put(udp(backends));
        assert_eq!(resets([list(&[OLD, NEW]), list(&[NEW]), Input::Tick]), [0, 1, 0]);
        assert_eq!(resets([list(&[OLD, NEW]), put(&[NEW]), Input::Tick]), [0, 1, 0]);
        assert_eq!(resets([list(&[OLD]), put(&[NEW]), Input::Tick]), [0, 1, 0], "replaced");
        let tcp = |backends: &[&str]| Input::Replace(vec![listed("a", Protocol::Tcp, backends)]);
        assert_eq!(resets([tcp(&[OLD, NEW]), tcp(&[NEW])]), [0, 0], "TCP has an end of its own");

        let wanted = |backends: &[&str]| {
            let mut service = udp(backends);
            service.policy.on_backend_lost = OnBackendLost::Reset;
            Input::Put(service)
        };
        let mut state = State::new();
        for input in [list(&[]), wanted(&[OLD, NEW]), wanted(&[NEW])] {
            state.apply(input, Moment(Duration::ZERO));
        }
        assert_eq!(state.take_commands(), [Command::Reset(old())], "as the policy wants");
    }

    #[test]
    fn a_flow_waits_until_another_serves() {
        let list = |backends: &[&str]| Input::Replace(vec![udp(backends)]);
        let put = |backends: &[&str]| Input::Put(udp(backends));
        assert_eq!(resets([list(&[OLD]), put(&[]), put(&[NEW]), put(&[NEW])]), [0, 0, 1, 0]);
        assert_eq!(resets([list(&[OLD]), put(&[]), put(&[OLD]), put(&[OLD, NEW])]), [0; 4], "back");
        assert_eq!(resets([list(&[OLD]), list(&[]), list(&[NEW])]), [0, 0, 1]);
        let remove = Input::Remove(udp(&[]).name);
        assert_eq!(resets([list(&[OLD]), remove, put(&[NEW])]), [0, 0, 1], "made anew");
        // The other backend is there, but drained.
        let new = udp(&[NEW]).backends[0].backend;
        let drain = |verb: fn(_) -> Verb| Input::Operator(verb(Drained::Backend(new)));
        let [drained, undrained] = [drain(Verb::Drain), drain(Verb::Undrain)];
        assert_eq!(resets([list(&[OLD, NEW]), drained, put(&[NEW]), undrained]), [0, 0, 0, 1]);
    }

    #[test]
    fn a_flow_ends_though_another_service_still_lists_its_backend() {
        let other = listed("b", Protocol::Udp, &[OLD]);
        let before = Input::Replace(vec![udp(&[OLD, NEW]), other.clone()]);
        assert_eq!(resets([before.clone(), Input::Put(udp(&[NEW]))]), [0, 1]);
        assert_eq!(resets([before, Input::Replace(vec![udp(&[NEW]), other])]), [0, 1]);
    }

    #[test]
    fn what_left_while_no_agent_looked_is_ended_once_the_sources_have_spoken() {
        let frontend = udp(&[]).frontends[0];
        let adopted = || Input::Adopted(vec![(frontend, old())]);
        let put = Input::Put(udp(&[NEW]));
        let list = |backends: &[&str]| Input::Replace(vec![udp(backends)]);
        assert_eq!(resets([adopted(), put, list(&[NEW]), Input::Tick]), [0, 0, 1, 0]);
        assert_eq!(resets([adopted(), list(&[OLD, NEW])]), [0, 0]);
        assert_eq!(resets([adopted(), list(&[]), list(&[NEW])]), [0, 0, 1]);
        assert_eq!(resets([adopted(), Input::Replace(vec![]), list(&[NEW])]), [0, 0, 0]);
    }
}
