//! An agent that is stopped, or hangs: it is told, nothing waits for it without end, and what was
//! given up meanwhile does not come into force later.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    process::{Command, Stdio},
    time::Duration,
};

use redirector_tests::{fixture::Fixture, wait::wait_until};
use serde_json::{Value, json};

use super::fixture::zones;

/// As the programs have it.
const SILENT: f64 = 5.0;

#[test]
fn an_order_that_was_given_up_never_comes_into_force_and_status_tells_of_the_silence() {
    let zones = zones();
    assert!(status(&zones)["heartbeat_seconds"].as_f64().expect("a number") < SILENT);
    zones.agent.freeze().expect("it stops");

    // The command line, killed while it waits.
    let mut given_up = Command::new(&zones.agent.options().binary);
    given_up.arg("drain").arg("--run-dir").arg(zones.agent.run_directory()).arg("zone=b");
    given_up.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut given_up = given_up.spawn().expect("redirector drain");
    // Two clients that have sent all: one gives up, one waits.
    let gone = order(&zones, r#"{"drain":"cluster=west"}"#);
    let mut waiting = order(&zones, r#"{"drain":"node=n2"}"#);
    std::thread::sleep(Duration::from_millis(300));
    given_up.kill().expect("it is killed");
    given_up.wait().expect("its end");
    drop(gone);

    // The kubelet and Prometheus have no answer either, and take that for what it is.
    zones.agent.get("/readyz").expect_err("no answer");
    wait_until("status tells of the silence", || {
        let silent = status(&zones)["heartbeat_seconds"].as_f64().expect("a number");
        silent >= SILENT
    });
    let text = run_status(&zones, &[]);
    let pid = zones.agent.pid().expect("it runs");
    let said = format!("agent: process {pid} has not written its heartbeat for ");
    assert!(text.starts_with(&said), "{text}");

    zones.agent.thaw().expect("it goes on");
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    assert_eq!(zones.agent.answer_json("orders", &[]), json!([{"drain": "node=n2"}]));
    zones.agent.finish().expect("the agent");
}

/// A connection on which an order was sent.
fn order(zones: &Fixture, json: &str) -> UnixStream {
    let socket = zones.agent.run_directory().join("control.sock");
    let mut stream = UnixStream::connect(socket).expect("a connection");
    let length = json.len();
    let head = "POST /orders HTTP/1.1\r\nhost: agent\r\ncontent-type: application/json\r\n";
    write!(stream, "{head}content-length: {length}\r\n\r\n{json}").expect("an order");
    stream
}

fn status(zones: &Fixture) -> Value {
    serde_json::from_str(&run_status(zones, &["-o", "json"])).expect("JSON")
}

fn run_status(zones: &Fixture, more: &[&str]) -> String {
    let run = zones.agent.run_directory().display().to_string();
    zones.agent.printed("status", &[&["--run-dir", &run], more].concat())
}
