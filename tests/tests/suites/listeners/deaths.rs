//! Who is the last listener: shared ports, shared sockets, loopback, shut down.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use redirector_tests::server::Listen;

use crate::listeners::stage::{LOCAL, PORT, REMOTE, Stage, frontend4};

#[test]
fn a_killed_listener_ejects_before_anybody_dials_and_a_new_one_readmits_at_once() {
    let mut stage = Stage::new();
    let mut server = stage.server(Listen::on(stage.local4()));
    stage.learn(frontend4());

    for _ in 0..5 {
        server.kill();
        stage.assert_ejected(stage.local4(), "a kill");
        for _ in 0..20 {
            assert_eq!(stage.dial(frontend4()).as_deref(), Ok(REMOTE));
        }
        server = stage.server(Listen::on(stage.local4()));
        stage.assert_usable(stage.local4(), "a new listener");
        stage.learn(frontend4());
    }
    stage.finish();
}

#[test]
fn of_two_that_share_a_port_only_the_last_one_ejects() {
    let mut stage = Stage::new();
    let mut one = stage.server(Listen::sharing(stage.local4()));
    let mut other = stage.server(Listen::sharing(stage.local4()));
    stage.learn(frontend4());

    one.kill();
    stage.assert_usable(stage.local4(), "the death of one of two");
    stage.learn(frontend4());
    let mut third = stage.server(Listen::sharing(stage.local4()));
    other.kill();
    stage.assert_usable(stage.local4(), "the death of the other, with a third");
    third.kill();
    stage.assert_ejected(stage.local4(), "the death of the last one");
    stage.finish();
}

#[test]
fn two_listeners_of_one_process_are_two() {
    let mut stage = Stage::new();
    let mut server = stage.server(Listen::sharing(stage.local4()));
    let second = server.open(Listen::sharing(stage.local4())).expect("a second listener");
    stage.learn(frontend4());

    server.close(second).expect("it closes");
    stage.assert_usable(stage.local4(), "one of two was closed");
    server.open(Listen::sharing(stage.local4())).expect("another one");
    server.kill();
    stage.assert_ejected(stage.local4(), "both were closed by one death");
    stage.finish();
}

#[test]
fn a_listener_that_a_forked_process_shares_lives_as_long_as_either() {
    let mut stage = Stage::new();
    let mut server = stage.server(Listen::on(stage.local4()));
    stage.learn(frontend4());
    let child = server.fork().expect("a fork");

    server.kill();
    stage.assert_usable(stage.local4(), "the parent's death");
    stage.learn(frontend4());
    kill(Pid::from_raw(child.cast_signed()), Signal::SIGKILL).expect("it is there");
    let local = stage.local4();
    // Nobody waits for an orphan: it ends in its own time.
    stage.wait_for("the ejection", |stage| stage.objections(local) == ["listener"]);
    stage.finish();
}

#[test]
fn a_listener_on_loopback_neither_keeps_a_backend_nor_brings_it_back() {
    let mut stage = Stage::new();
    let loopback = Listen::on(([127, 0, 0, 1], PORT).into());
    let mut server = stage.server(loopback);
    let main = server.open(Listen::on(stage.local4())).expect("a listener");
    stage.learn(frontend4());

    server.close(main).expect("it closes");
    stage.assert_ejected(stage.local4(), "the close of all but loopback");
    let _another = stage.server(Listen::on(([127, 0, 0, 2], PORT).into()));
    stage.assert_ejected(stage.local4(), "a new listener on loopback");
    server.open(Listen::on(stage.local4())).expect("a listener");
    stage.assert_usable(stage.local4(), "a new listener");
    server.close(0).expect("loopback closes");
    stage.assert_usable(stage.local4(), "the close of loopback");
    assert_eq!(stage.dial(stage.local4()).as_deref(), Ok(LOCAL));
    stage.finish();
}

#[test]
fn a_listener_that_is_shut_down_ejects_though_it_is_not_closed() {
    let mut stage = Stage::new();
    let mut server = stage.server(Listen::on(stage.local4()));
    stage.learn(frontend4());

    server.shutdown(0).expect("it shuts down");
    stage.assert_ejected(stage.local4(), "a shutdown");
    server.close(0).expect("it closes");
    server.open(Listen::on(stage.local4())).expect("a new one");
    stage.assert_usable(stage.local4(), "a new listener");
    stage.finish();
}
