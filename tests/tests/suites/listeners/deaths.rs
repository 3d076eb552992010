//! Who is the last listener: shared ports, shared sockets, loopback, shut down.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use redirector_tests::server::Listen;

use super::fixture::{Fixture, LOCAL, PORT, REMOTE, frontend4};

#[test]
fn a_killed_listener_ejects_before_anybody_dials_and_a_new_one_readmits_at_once() {
    let mut site = Fixture::new();
    let mut server = site.server(Listen::on(site.local4()));
    site.learn(frontend4());

    for _ in 0..5 {
        server.kill();
        site.assert_ejected(site.local4(), "a kill");
        for _ in 0..20 {
            assert_eq!(site.dial(frontend4()).as_deref(), Ok(REMOTE));
        }
        server = site.server(Listen::on(site.local4()));
        site.assert_usable(site.local4(), "a new listener");
        site.learn(frontend4());
    }
    site.finish();
}

#[test]
fn of_two_that_share_a_port_only_the_last_one_ejects() {
    let mut site = Fixture::new();
    let mut one = site.server(Listen::sharing(site.local4()));
    let mut other = site.server(Listen::sharing(site.local4()));
    site.learn(frontend4());

    one.kill();
    site.assert_usable(site.local4(), "the death of one of two");
    site.learn(frontend4());
    let mut third = site.server(Listen::sharing(site.local4()));
    other.kill();
    site.assert_usable(site.local4(), "the death of the other, with a third");
    third.kill();
    site.assert_ejected(site.local4(), "the death of the last one");
    site.finish();
}

#[test]
fn two_listeners_of_one_process_are_two() {
    let mut site = Fixture::new();
    let mut server = site.server(Listen::sharing(site.local4()));
    let second = server.open(Listen::sharing(site.local4())).expect("a second listener");
    site.learn(frontend4());

    server.close(second).expect("it closes");
    site.assert_usable(site.local4(), "one of two was closed");
    server.open(Listen::sharing(site.local4())).expect("another one");
    server.kill();
    site.assert_ejected(site.local4(), "both were closed by one death");
    site.finish();
}

#[test]
fn a_listener_that_a_forked_process_shares_lives_as_long_as_either() {
    let mut site = Fixture::new();
    let mut server = site.server(Listen::on(site.local4()));
    site.learn(frontend4());
    let child = server.fork().expect("a fork");

    server.kill();
    site.assert_usable(site.local4(), "the parent's death");
    site.learn(frontend4());
    kill(Pid::from_raw(child.cast_signed()), Signal::SIGKILL).expect("it is there");
    let local = site.local4();
    // Nobody waits for an orphan: it ends in its own time.
    site.wait_for("the ejection", |site| site.objections(local) == ["listener"]);
    site.finish();
}

#[test]
fn a_listener_on_loopback_neither_keeps_a_backend_nor_brings_it_back() {
    let mut site = Fixture::new();
    let loopback = Listen::on(([127, 0, 0, 1], PORT).into());
    let mut server = site.server(loopback);
    let main = server.open(Listen::on(site.local4())).expect("a listener");
    site.learn(frontend4());

    server.close(main).expect("it closes");
    site.assert_ejected(site.local4(), "the close of all but loopback");
    let _another = site.server(Listen::on(([127, 0, 0, 2], PORT).into()));
    site.assert_ejected(site.local4(), "a new listener on loopback");
    server.open(Listen::on(site.local4())).expect("a listener");
    site.assert_usable(site.local4(), "a new listener");
    server.close(0).expect("loopback closes");
    site.assert_usable(site.local4(), "the close of loopback");
    assert_eq!(site.dial(site.local4()).as_deref(), Ok(LOCAL));
    site.finish();
}

#[test]
fn a_listener_that_is_shut_down_ejects_though_it_is_not_closed() {
    let mut site = Fixture::new();
    let mut server = site.server(Listen::on(site.local4()));
    site.learn(frontend4());

    server.shutdown(0).expect("it shuts down");
    site.assert_ejected(site.local4(), "a shutdown");
    server.close(0).expect("it closes");
    server.open(Listen::on(site.local4())).expect("a new one");
    site.assert_usable(site.local4(), "a new listener");
    site.finish();
}
