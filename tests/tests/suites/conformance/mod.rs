//! What kube-proxy would do, with real sockets: the cases that the index is tested with are given
//! to an API server, the real agent hears of them, and applications dial.

mod affinity;
#[path = "../../../../redirector/kube/tests/conformance/cases.rs"]
mod cases;
mod check;
mod expected;
mod flows;
mod placed;
mod places;
mod readiness;
mod rolling;
#[path = "../../../../redirector/kube/tests/conformance/script.rs"]
mod script;
mod socket_kinds;
mod tables;
mod waves;
