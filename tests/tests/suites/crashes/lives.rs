//! Lives of an agent that its crasher may end, and what a whole one has made of the maps.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, thread,
    time::{Duration, Instant},
};

use redirector_tests::{agent::Agent, tables, wait::wait_until};
use serde_json::Value;

use super::fixture::Fixture;

/// The only file that an agent without orders keeps.
pub(crate) const CONTROL: &str = "control.sock";
/// The one with orders.
pub(crate) const ORDERS: &str = "orders.json";
/// An agent that is ready may have some calls to make yet.
const SETTLED: Duration = Duration::from_millis(150);

/// How a life began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Crashed,
    Ready,
}

/// Each service's frontends and backends.
pub(crate) type Services = BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)>;

/// A whole first life, which goes on, and the calls of its start.
pub(crate) fn first(site: &Fixture) -> (Agent, Vec<String>) {
    site.crasher.set_end(None).expect("no end");
    let options = site.options(Some(site.crasher.clone()));
    let mut agent = Agent::start(options).expect("an agent");
    await_quiet(&mut agent);
    (agent, site.crasher.calls().expect("its calls"))
}

/// A life that ends before this call, if it makes so many.
pub(crate) fn start(agent: &mut Agent, site: &Fixture, number: usize) -> End {
    site.crasher.set_end(Some(number)).expect("an end");
    agent.spawn_again().expect("an agent");
    loop {
        if agent.has_crashed().expect("no other end") {
            return End::Crashed;
        }
        // It may end just now.
        if agent.get("/readyz").is_ok_and(|(status, _)| status == 200) {
            return await_quiet(agent);
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// One that does not end.
pub(crate) fn start_whole(agent: &mut Agent, site: &Fixture) {
    site.crasher.set_end(None).expect("no end");
    agent.spawn_again().expect("an agent");
    agent.wait_until_ready().expect("it is ready");
    await_quiet(agent);
}

/// Until it has done what there is to do, or has ended.
pub(crate) fn await_quiet(agent: &mut Agent) -> End {
    let start = Instant::now();
    while start.elapsed() < SETTLED {
        if agent.has_crashed().expect("no other end") {
            return End::Crashed;
        }
        thread::sleep(Duration::from_millis(5));
    }
    End::Ready
}

/// The names in its run directory.
pub(crate) fn files(agent: &Agent) -> Vec<String> {
    let entries = fs::read_dir(agent.run_directory()).expect("its run directory").flatten();
    let mut names: Vec<_> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// What is in the maps, with an agent and without.
pub(crate) fn services(agent: &Agent) -> Services {
    let mut services = Services::new();
    for service in status(agent)["services"].as_array().expect("services") {
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let at = |of: &Value| format!("{}:{}", text(&of["address"]), of["port"]);
        let (frontends, backends) = services.entry(text(&service["name"])).or_default();
        frontends.extend(tables::list(&service["frontends"]).map(at));
        backends.extend(tables::backends_of(service).map(at));
    }
    services
}

/// The orders that are kept.
pub(crate) fn orders(agent: &Agent) -> Vec<Value> {
    status(agent)["orders"].as_array().expect("orders").clone()
}

/// Waits until exactly this is in the maps.
pub(crate) fn wait_for_services(agent: &Agent, wanted: &Services) {
    wait_until("the maps follow the file", || &services(agent) == wanted);
}

fn status(agent: &Agent) -> Value {
    let run = agent.run_directory().display().to_string();
    let text = agent.printed("status", &["--run-dir", &run, "-o", "json"]);
    serde_json::from_str(&text).expect("JSON")
}
