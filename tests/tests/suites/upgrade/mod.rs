//! From the binary, the pins, the orders and the objects of an earlier commit to these and back,
//! while applications dial.

mod beside;
mod broken_off;
mod fixture;
mod journey;
mod objects;
mod roll_out;
mod traffic;

use std::path::PathBuf;

use redirector_tests::programs::Earlier;

use fixture::Form;
use journey::{End, journey};

/// What to go from; says so where there is nothing.
fn earlier(test: &str) -> Option<Earlier> {
    match Earlier::find() {
        Ok(earlier) => Some(earlier),
        Err(why) => {
            println!("SKIP upgrade::{test}: {why}");
            None
        }
    }
}

fn binaries(test: &str) -> Option<[PathBuf; 2]> {
    let now = redirector_tests::programs::redirector().expect("the binary");
    Some([earlier(test)?.binary(), now])
}

#[test]
fn a_host_there_and_back() {
    let Some(binaries) = binaries("a_host_there_and_back") else { return };
    journey(Form::Host, End::Terminated, binaries);
}

#[test]
fn a_host_whose_agents_are_killed() {
    let Some(binaries) = binaries("a_host_whose_agents_are_killed") else { return };
    journey(Form::Host, End::Killed, binaries);
}

/// A loader with the capabilities, then an agent without any: as a DaemonSet is rolled out.
#[test]
fn a_node_there_and_back() {
    let Some(binaries) = binaries("a_node_there_and_back") else { return };
    journey(Form::Node, End::Terminated, binaries);
}

#[test]
fn a_take_over_that_dies_is_begun_again() {
    let Some(binaries) = binaries("a_take_over_that_dies_is_begun_again") else { return };
    broken_off::broken_off(binaries);
}

#[test]
fn a_host_that_never_had_the_earlier_one_goes_back() {
    let test = "a_host_that_never_had_the_earlier_one_goes_back";
    let Some(binaries) = binaries(test) else { return };
    beside::beside(binaries);
}

#[test]
fn a_daemon_set_is_rolled_out_and_back() {
    let Some(earlier) = earlier("a_daemon_set_is_rolled_out_and_back") else { return };
    let now = redirector_tests::programs::redirector().expect("the binary");
    roll_out::roll_out(&earlier, &now);
}

#[test]
fn what_is_stored_stays_valid() {
    let Some(earlier) = earlier("what_is_stored_stays_valid") else { return };
    objects::the_definitions_say_the_same(&earlier);
}

#[test]
fn what_a_release_was_installed_with_is_understood() {
    let test = "what_a_release_was_installed_with_is_understood";
    let Some(earlier) = earlier(test) else { return };
    if !objects::the_values_are_understood(&earlier) {
        println!("SKIP upgrade::{test}: no helm on the PATH; REDIRECTOR_HELM may name it");
    }
}
