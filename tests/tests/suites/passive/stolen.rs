//! Another program on the same cgroup that switches the callbacks of sockets off: connects are judged
//! when they are closed, their seats are given back, and the agent says it.

use redirector_tests::{dialer::Dial, wait::wait_until};

use super::fixture::{REPLICA, address, backend, failed, held_seats, service, site, start, tcp};
use crate::common::{
    counter,
    foreign::{BESIDE_OTHERS, Foreign, SOCK_OPS},
};

const POLICY: &str = "probe: off";
const DIALS: u32 = 60;
/// Seats that a leak would fill.
const SEATS: [&str; 2] = ["--max-seats", "16"];

/// `sock_ops_cb_flags_set(context, 0); return 1;` as `struct bpf_insn`: code, registers, offset, number.
const PROGRAM: [[u8; 8]; 4] = [
    [0xb7, 2, 0, 0, 0, 0, 0, 0],
    [0x85, 0, 0, 0, 59, 0, 0, 0],
    [0xb7, 0, 0, 0, 1, 0, 0, 0],
    [0x95, 0, 0, 0, 0, 0, 0, 0],
];

#[test]
fn whoever_takes_the_callbacks_away_takes_neither_seats_nor_judgement() {
    let site = site(&["n1", "n2", "n3"]).with_replica("n2", "alive", REPLICA);
    site.lab.node("n3").swallow(REPLICA).expect("a black hole");
    let [alive, refusing, hole] = [backend(2, REPLICA), backend(2, 1), backend(3, REPLICA)];
    let services = service("refused", 1, &[alive.clone(), refusing], POLICY)
        + &service("hole", 2, &[alive.clone(), hole], POLICY)
        + &service("alive", 3, &[alive], POLICY);
    let site = start(site.with_arguments(&SEATS), &services);
    let thief = Foreign::attach(site.cgroup.path(), SOCK_OPS, BESIDE_OTHERS, &PROGRAM);
    let _thief = thief.expect("a thief");
    let mut client = site.client_in("n1", "client");

    let refused = failed(&client.dial(tcp(1), DIALS).expect("dials")).len();
    assert!((1..=5).contains(&refused), "{refused} of {DIALS} were refused");
    let impatient = Dial { timeout_ms: 200, ..Dial::tcp(address(2)) };
    let unanswered = failed(&client.dial(impatient, DIALS).expect("dials")).len();
    assert!((1..=7).contains(&unanswered), "{unanswered} of {DIALS} were not answered");
    println!("callbacks taken away: {refused} refused, {unanswered} unanswered of {DIALS} each");

    let unseen = counter(&site, "unseen");
    assert!(unseen >= u64::from(DIALS), "{unseen} ends were not seen");
    assert!(failed(&client.dial(tcp(3), DIALS).expect("dials")).is_empty());
    assert_eq!(held_seats(&site), 0, "seats of sockets that are gone");
    let run = site.agent.run_directory().display().to_string();
    let status = site.agent.printed("status", &["--run-dir", &run]);
    let line = " connects have ended unseen since the maps were made: another sock_ops program ";
    assert!(status.contains(line), "{status}");
    wait_until("the agent has said it", || {
        site.agent.log().contains("takes the callbacks of sockets away")
    });
}
