//! What an agent and the subcommands beside it say. Each of these panics with what they complain
//! about when they fail.

use std::{collections::BTreeMap, process::Output};

use serde_json::Value;

use super::Agent;

impl Agent {
    /// What a subcommand prints that speaks to the running agent: `drain`, `explain`, …
    pub fn answer(&self, subcommand: &str, arguments: &[&str]) -> String {
        text(subcommand, &self.ask(subcommand, arguments).expect("redirector"))
    }

    /// The same with `-o json`.
    pub fn answer_json(&self, subcommand: &str, arguments: &[&str]) -> Value {
        let arguments = [arguments, &["-o", "json"]].concat();
        serde_json::from_str(&self.answer(subcommand, &arguments)).expect("JSON")
    }

    /// How a subcommand on the same pins ends, with an agent and without: `status`, `unload`, …
    pub fn run(&self, subcommand: &str, arguments: &[&str]) -> Output {
        let child = self.command(subcommand, arguments).expect("redirector");
        child.wait_with_output().expect("its end")
    }

    /// What a subcommand on the same pins prints.
    pub fn printed(&self, subcommand: &str, arguments: &[&str]) -> String {
        text(subcommand, &self.run(subcommand, arguments))
    }

    /// `redirector status -o json`, of the pins alone.
    pub fn status(&self) -> Value {
        serde_json::from_str(&self.printed("status", &["-o", "json"])).expect("JSON")
    }

    /// `redirector dump -o json`.
    pub fn dump(&self) -> Value {
        serde_json::from_str(&self.printed("dump", &["-o", "json"])).expect("JSON")
    }

    /// One of the programs' counters.
    pub fn counter(&self, reason: &str) -> u64 {
        let dump = self.dump();
        dump["counters"][reason].as_u64().unwrap_or_else(|| panic!("no counter {reason}"))
    }

    /// What `/metrics` says, by name with labels.
    pub fn metrics(&self) -> BTreeMap<String, f64> {
        let (status, text) = self.get("/metrics").expect("the metrics");
        assert_eq!(status, 200, "{text}");
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let pairs = lines.filter_map(|line| line.rsplit_once(' '));
        pairs.map(|(name, value)| (name.to_owned(), value.parse().expect("a number"))).collect()
    }

    /// How many lines of the log say that.
    pub fn logged(&self, what: &str) -> usize {
        self.log().lines().filter(|line| line.contains(what)).count()
    }
}

fn text(subcommand: &str, output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "redirector {subcommand}: {}: {errors}", output.status);
    String::from_utf8(output.stdout.clone()).expect("text")
}
