//! What each view says in each state, or why it cannot.
//!
//! States of the node itself are in other suites, which ask the views that such a node still has: an
//! agent that is stopped in `operator::stopped` (nothing but `status` answers, from the maps, and the
//! policy's status becomes another node's to write); pins and programs that are gone, or are something
//! else, in `lost` and `inspect::impostors` (`Programmed` says what `explain` does: it is one value); a
//! program that takes callbacks away in `passive::stolen`; an admin address that is taken, few
//! descriptors, and another redirector in `inspect` (`refusals`, `descriptors`, `impostors`: there is no
//! agent to be asked); what there is not in `operator::mistakes`. An object that is too long is one that
//! cannot be read.

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    Status,
    Explain,
    Ready,
    Metrics,
    /// What the agent has logged since it was led there.
    Log,
    /// A condition of the policy: `True Programmed: in the kernel: web`.
    Accepted,
    Programmed,
    Degraded,
}

use View::{Accepted, Degraded, Explain, Log, Metrics, Programmed, Ready, Status};

impl View {
    pub(super) const ALL: [Self; 8] =
        [Status, Explain, Ready, Metrics, Log, Accepted, Programmed, Degraded];
}

/// What is to be found there.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cell {
    Says(&'static str),
    Silent(&'static str),
    /// It does not show it, for this reason.
    Cannot(#[expect(dead_code, reason = "for who reads the table")] &'static str),
}

use Cell::{Cannot, Says, Silent};

impl Cell {
    pub(super) fn is_so(self, said: &str) -> bool {
        match self {
            Says(part) => said.contains(part),
            Silent(part) => !said.contains(part),
            Cannot(_) => true,
        }
    }
}

pub(super) struct State {
    pub(super) name: &'static str,
    pub(super) cells: &'static [(View, Cell)],
}

const NO_NAMES: Cell = Cannot("who asks need not be allowed to know names, and the node is ready");
const NO_SERIES: Cell = Cannot("there is no series per Service: there may be 100,000");
const IN_FORCE: (View, Cell) = (Programmed, Says("True Programmed: in the kernel: web"));
const HOLDS: (View, Cell) = (Accepted, Says("True Accepted: holds for web"));

/// In this order.
pub(super) const STATES: &[State] = &[
    State {
        name: "well",
        cells: &[
            (Status, Says("  100 % of new connections, 1 of 1 usable")),
            (Status, Silent("NOT INSTALLED")),
            (Explain, Says("tier 0 own: 100 %, 1 of 1 healthy")),
            (Explain, Silent("NOT INSTALLED")),
            (Ready, Says("200 ready\n")),
            (Metrics, Says("redirector_services_rejected 0")),
            (Metrics, Says("redirector_maps_behind 0")),
            (Metrics, Says("redirector_pins_lost 0")),
            (Log, Silent("failed over")),
            HOLDS,
            IN_FORCE,
            (Degraded, Says("False AsExpected: every Service has a healthy backend")),
        ],
    },
    // The first tier's only backend.
    State {
        name: "drained",
        cells: &[
            (Status, Says("order: drain backend=10.77.2.1:8080/tcp (on this node alone)")),
            (Status, Says("10.77.2.1:8080             0.00 %  ejected by operator")),
            (Status, Says("10.77.2.2:8080           100.00 %  usable")),
            (Explain, Says("tier 0 own: 0 %, 0 of 1 healthy")),
            (Explain, Says("operator: ")),
            (Explain, Says("tier 1 backup, of shop/backup: 100 %, 1 of 1 healthy")),
            (Ready, NO_NAMES),
            (Metrics, Says("redirector_transitions_total{kind=\"ordered\"} 1")),
            (Log, Says("order=drain backend=10.77.2.1:8080/tcp")),
            HOLDS,
            IN_FORCE,
            (
                Degraded,
                Says("True FailedOver: all traffic of web port 80 is in tier backup, not in own"),
            ),
        ],
    },
    State {
        name: "forced",
        cells: &[
            (Status, Says("order: force shop/web backup (on this node alone)")),
            (Status, Says("10.77.2.1:8080             0.00 %  usable")),
            (Status, Says("10.77.2.2:8080           100.00 %  usable")),
            (
                Explain,
                Says("an operator has forced everything to the tier backup, on this node alone"),
            ),
            (Explain, Says("tier 0 own: 0 %, 1 of 1 healthy")),
            (Ready, NO_NAMES),
            (Metrics, Says("redirector_transitions_total{kind=\"rerouted\"}")),
            (Log, Says("order=force shop/web backup")),
            HOLDS,
            IN_FORCE,
            (
                Degraded,
                Says("True FailedOver: all traffic of web port 80 is in tier backup, not in own"),
            ),
        ],
    },
    State {
        name: "failed over",
        cells: &[
            (Status, Says("10.77.2.1:8080             0.00 %  ejected by prober")),
            (Status, Says("10.77.2.2:8080           100.00 %  usable")),
            (Status, Silent("order: ")),
            (Explain, Says("tier 0 own: 0 %, 0 of 1 healthy")),
            (Explain, Says("prober: ")),
            (Explain, Silent("forced")),
            (Ready, NO_NAMES),
            (Metrics, Says("redirector_transitions_total{kind=\"failed_over\"}")),
            (Log, Says("failed over service=shop/web from=own to=backup")),
            HOLDS,
            IN_FORCE,
            (
                Degraded,
                Says("True FailedOver: all traffic of web port 80 is in tier backup, not in own"),
            ),
        ],
    },
    State {
        name: "all down",
        cells: &[
            (Status, Says("all down: Panic")),
            (Explain, Says("nobody is healthy: the all-down policy decides")),
            (Explain, Says("all down: Panic")),
            (Ready, NO_NAMES),
            (Metrics, Says("redirector_transitions_total{kind=\"ejected\"}")),
            (Log, Says("failed over service=shop/web from=backup to=none")),
            HOLDS,
            IN_FORCE,
            (Degraded, Says("True NoHealthyBackend: ")),
        ],
    },
    // Both are well again.
    State {
        name: "held down",
        cells: &[
            (Explain, Says("tier 0 own: 0 %, 1 of 1 healthy; by health alone 100 %; hold-down, ")),
            (Status, Says("10.77.2.2:8080           100.00 %  usable")),
            (Ready, NO_NAMES),
            (Metrics, NO_SERIES),
            (Log, Silent("failed back")),
            (Log, Silent("to=own")),
            HOLDS,
            IN_FORCE,
            (
                Degraded,
                Says("True FailedOver: all traffic of web port 80 is in tier backup, not in own"),
            ),
        ],
    },
    State {
        name: "ramped up",
        cells: &[
            (Explain, Says("; by health alone 100 %; ramp at ")),
            (Status, Silent("100.00 %")),
            (Status, Silent(" 0.00 %")),
            (Ready, NO_NAMES),
            (Metrics, Says("redirector_transitions_total{kind=\"ramped\"}")),
            (Log, Says("the tier gets its traffic back, step by step service=shop/web tier=own")),
            (Log, Silent("failed back")),
            HOLDS,
            IN_FORCE,
            (Degraded, Silent("all traffic")),
        ],
    },
    State {
        name: "back",
        cells: &[
            (Status, Says("10.77.2.1:8080           100.00 %  usable")),
            (Explain, Says("tier 0 own: 100 %, 1 of 1 healthy\n")),
            (Ready, NO_NAMES),
            (Metrics, NO_SERIES),
            (Log, Says("failed back service=shop/web from=backup to=own")),
            HOLDS,
            IN_FORCE,
            (Degraded, Says("False AsExpected: every Service has a healthy backend")),
        ],
    },
    // Its second tier names a zone that there is not.
    State {
        name: "tier empty",
        cells: &[
            (Status, Says("10.77.2.1:8080           100.00 %  usable")),
            (Status, Silent("tier 1")),
            (
                Explain,
                Says("tier 1 typo: 0 %, 0 of 0 healthy; no backend is in the places that it names"),
            ),
            (Ready, NO_NAMES),
            (Metrics, NO_SERIES),
            (Log, Cannot("nothing has happened: it is so")),
            HOLDS,
            IN_FORCE,
            (
                Degraded,
                Says(
                    "True TierEmpty: tier typo of web port 80 is empty: no backend is in the places",
                ),
            ),
        ],
    },
    // Its second tier names a Service that there is not.
    State {
        name: "tier missing",
        cells: &[
            (Status, Says("10.77.2.1:8080           100.00 %  usable")),
            (Status, Silent("tier 1")),
            (Explain, Says("; that service does not exist")),
            (Ready, NO_NAMES),
            (Metrics, NO_SERIES),
            (Log, Cannot("nothing has happened: it is so")),
            HOLDS,
            IN_FORCE,
            (Degraded, Says("True TierUnresolved: ")),
        ],
    },
    // The policy's newest version is invalid; the one before is in force, which is all that `status` and
    // `explain` are about.
    State {
        name: "refused",
        cells: &[
            (Status, Says("10.77.2.1:8080           100.00 %  usable")),
            (Explain, Says("; that service does not exist")),
            (Ready, NO_NAMES),
            (Metrics, NO_SERIES),
            (Log, Says("the FailoverPolicy is invalid: ")),
            (Log, Says("stays in force object=shop/web reason=\"InvalidPolicy\"")),
            (Accepted, Says("False Invalid: generation ")),
            (Programmed, Says(" stays in force")),
            (Degraded, Says("True TierUnresolved: ")),
        ],
    },
    // Of its slice a version that no agent can read; what holds is the one before.
    State {
        name: "unreadable",
        cells: &[
            (
                Status,
                Says(
                    "shop/web: NOT INSTALLED: it is refused: EndpointSlice shop/web-1 cannot be read",
                ),
            ),
            (Status, Says("an earlier version stays in force")),
            (Status, Says("10.77.2.1:8080           100.00 %  usable")),
            (
                Explain,
                Says("NOT INSTALLED: it is refused: EndpointSlice shop/web-1 cannot be read"),
            ),
            (Explain, Says("tier 0 own: 100 %, 1 of 1 healthy")),
            (Ready, NO_NAMES),
            (Metrics, Says("redirector_kube_rejected_objects_total{kind=\"EndpointSlice\"} 1")),
            (Log, Says("EndpointSlice cannot be read: ")),
            (Accepted, Says("holds for web")),
            (Programmed, Says("EndpointSlice shop/web-1 cannot be read")),
            (Degraded, Cannot("what is in force is judged, and that is well")),
        ],
    },
    // Its slice is of a controller that nobody trusts.
    State {
        name: "left alone",
        cells: &[
            (Status, Says("shop/web: NOT INSTALLED: ")),
            (Status, Says("the Service is left to kube-proxy")),
            (Explain, Says("the service shop/web is not redirected: ")),
            (Explain, Says("the Service is left to kube-proxy")),
            (Ready, NO_NAMES),
            (Metrics, NO_SERIES),
            (Log, Says("the Service is left to kube-proxy")),
            HOLDS,
            (Programmed, Says("False LeftToKubeProxy: left to kube-proxy: web: ")),
            (
                Degraded,
                Says("Unknown LeftToKubeProxy: not judged, because it is not in the kernel: web"),
            ),
        ],
    },
    // There is room for one Service, and `another` has it; the last order is one of a later version.
    State {
        name: "no room",
        cells: &[
            (Status, Says("shop/web: NOT INSTALLED for ")),
            (
                Status,
                Says(
                    " s: needs one more service, 0 of 1 are free; its addresses are not redirected",
                ),
            ),
            (Status, Says("order of another version, kept and not in force: {\"slowDown\":")),
            (Explain, Says("NOT INSTALLED for ")),
            (
                Explain,
                Says(
                    "needs one more service, 0 of 1 are free; its addresses are not redirected; what",
                ),
            ),
            (Ready, Says("200 ready, but services are not installed for want of room (1)")),
            (Metrics, Says("redirector_services_rejected 1")),
            (Log, Says("the service stays as it was: a limit is reached service=shop/web")),
            (Log, Says("an order that this version does not know is kept, and not in force")),
            HOLDS,
            (
                Programmed,
                Says("False NotInstalled: not in the kernel: web: needs one more service"),
            ),
            (
                Degraded,
                Says("Unknown NotInstalled: not judged, because it is not in the kernel: web"),
            ),
        ],
    },
];
