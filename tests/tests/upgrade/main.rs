//! From the binary, the pins, the orders and the objects of an earlier commit to these and back,
//! while applications dial.
#![expect(clippy::print_stdout, reason = "the test command shows what suites measure")]

mod journey;
mod traffic;
mod stage;

use std::path::PathBuf;

use redirector_tests::programs::Earlier;

use journey::{End, journey};
use stage::Form;

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
