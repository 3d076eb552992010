//! Listeners that are older than the programs.

use redirector_tests::server::Listen;

use crate::stage::{Stage, frontend4};

#[test]
fn a_listener_older_than_the_programs_ejects_like_any_other() {
    let mut stage = Stage::without_agent();
    let mut server = stage.server(Listen::on(stage.local4()));
    stage.start_agent();
    stage.learn(frontend4());

    server.kill();
    stage.assert_ejected(stage.local4(), "a kill");
    let _server = stage.server(Listen::on(stage.local4()));
    stage.assert_usable(stage.local4(), "a new listener");
    stage.finish();
}

#[test]
fn of_several_older_ones_that_share_a_port_the_last_one_ejects() {
    let mut stage = Stage::without_agent();
    let mut one = stage.server(Listen::sharing(stage.local4()));
    let mut other = stage.server(Listen::sharing(stage.local4()));
    stage.start_agent();
    stage.learn(frontend4());
    let mut young = stage.server(Listen::sharing(stage.local4()));

    one.kill();
    stage.assert_usable(stage.local4(), "the death of one of three");
    young.kill();
    stage.assert_usable(stage.local4(), "the death of the one that was counted");
    other.kill();
    stage.assert_ejected(stage.local4(), "the death of the last one");
    stage.finish();
}

#[test]
fn an_older_listener_that_a_forked_process_shares_lives_as_long_as_either() {
    let mut stage = Stage::without_agent();
    let mut server = stage.server(Listen::on(stage.local4()));
    server.fork().expect("a fork");
    stage.start_agent();
    stage.learn(frontend4());

    server.kill();
    stage.assert_usable(stage.local4(), "the parent's death");
    stage.finish();
}
