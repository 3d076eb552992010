//! Deliberate mistakes in the core, and the tests that catch them.
//!
//! Each mistake is made in a copy of the core's source under `target/tmp`, which is compiled and
//! tested there by a cargo of its own: what is shipped knows nothing of it. A mistake that no
//! longer fits the source fails here, and is to be made anew.

#![expect(clippy::disallowed_methods, reason = "a copy of the source is files; the core has none")]

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// A mistake, and the test that notices.
struct Mutation {
    what: &'static str,
    file: &'static str,
    right: &'static str,
    wrong: &'static str,
    caught_by: Test,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Test {
    Unit(&'static str),
    Simulation(&'static str),
}

const DEAD: &str = "no_connect_reaches_what_everybody_knows_is_dead";
const LIES: &str = "who_cannot_reach_what_answers_every_probe_moves_nobody_but_itself";
const DEATH: &str = "a_death_among_lies_is_found_by_two_probes_at_most";

const MUTATIONS: [Mutation; 11] = [
    Mutation {
        what: "any probe that succeeds re-admits, whatever the threshold and the time",
        file: "state/passive.rs",
        right: "passive.successes >= healthy && (self.ejections == 1 || passive.is_served)",
        wrong: "passive.successes > 0 && healthy > 0",
        caught_by: Test::Unit("state::verdict_tests::only_a_first_ejection_ends_before_its_time"),
    },
    Mutation {
        what: "failures count of a backend that has never answered",
        file: "health.rs",
        right: "(self.answered && !self.ejected && is_enough)",
        wrong: "(!self.ejected && is_enough)",
        caught_by: Test::Unit(
            "health::tests::what_has_never_answered_is_unknown_however_often_it_fails",
        ),
    },
    Mutation {
        what: "a hold-down is never lifted",
        file: "failover/ramp.rs",
        right: "let Some(ramping_for) = well_for.checked_sub(hold_down) else {",
        wrong: "let Some(ramping_for) = well_for.checked_sub(Duration::MAX) else {",
        caught_by: Test::Unit(
            "failover::ramp::tests::\
             nothing_returns_during_the_hold_down_and_all_of_it_after_the_ramp",
        ),
    },
    Mutation {
        what: "a refusal is a silent death, and resets what it should let finish",
        file: "health.rs",
        right: "self.refused |= *failure != ProbeFailure::TimedOut;",
        wrong: "let _ = failure;",
        caught_by: Test::Unit(
            "state::verdict_tests::only_what_was_lost_without_a_word_is_reset_and_only_once",
        ),
    },
    Mutation {
        what: "time re-admits, though probes fail",
        file: "state/passive.rs",
        right: "is_served && (!has_answered || trouble.is_disproved(healthy))",
        wrong: "is_served && (has_answered || trouble.is_disproved(healthy) || true)",
        caught_by: Test::Simulation(DEAD),
    },
    Mutation {
        what: "the kernel is not told of a re-admission",
        file: "state/passive.rs",
        right: "self.commands.push(Command::Readmit { backend: *backend, byte });",
        wrong: "let _ = byte;",
        caught_by: Test::Simulation(DEAD),
    },
    Mutation {
        what: "nodes and zones of one name in two clusters are the same",
        file: "identity.rs",
        right: "self.cluster.as_ref().filter(|cluster| Some(*cluster) != own)",
        wrong: "self.cluster.as_ref().filter(|cluster| cluster.is_empty() && own.is_none())",
        caught_by: Test::Unit(
            "state::identity_tests::\
             a_silent_node_says_nothing_about_one_of_that_name_in_another_cluster",
        ),
    },
    Mutation {
        what: "the generation of an index is ignored",
        file: "plan/installed.rs",
        right: ".filter(|_| word.generation() == generation)",
        wrong: ".filter(|_| word.generation() == generation || generation < u32::MAX)",
        caught_by: Test::Simulation(DEAD),
    },
    Mutation {
        what: "the word of several clients is a verdict",
        file: "state/suspicion.rs",
        right: "self.suspects(&backend, sight, true);\n            }\n            KernelEvent::ListenerGone",
        wrong: "self.confirm(&backend, sight, &ProbeFailure::TimedOut, happened);\n            }\n\
                            KernelEvent::ListenerGone",
        caught_by: Test::Simulation(LIES),
    },
    Mutation {
        what: "nobody vouches for a backend that has just answered",
        file: "state/suspicion.rs",
        right: "const VOUCHED: Duration = Duration::from_secs(20);",
        wrong: "const VOUCHED: Duration = Duration::from_secs(1);",
        caught_by: Test::Simulation(LIES),
    },
    Mutation {
        what: "a probe that fails confirms nothing",
        file: "state/suspicion.rs",
        right: "            } else if has_answered {",
        wrong: "            } else if has_answered && !suspicion.is_held && suspicion.is_held {",
        caught_by: Test::Simulation(DEATH),
    },
];

#[test]
fn every_deliberate_mistake_is_caught_by_a_named_test() {
    if env::var_os("REDIRECTOR_FULL").is_none() {
        say(
            "SKIP unit::mutations: only `cargo xtask test --full` builds the core eleven times more",
        );
        return;
    }
    let copy = Copy::new();
    for caught_by in MUTATIONS.map(|mutation| mutation.caught_by) {
        let (passes, output) = copy.test(caught_by);
        assert!(passes, "without any mistake {} fails: {output}", caught_by.name());
    }
    for Mutation { what, file, right, wrong, caught_by } in MUTATIONS {
        let source = copy.source(file);
        assert_eq!(source.matches(right).count(), 1, "\"{what}\" no longer fits {file}");
        copy.write(file, &source.replace(right, wrong));
        let (passes, output) = copy.test(caught_by);
        copy.write(file, &source);
        assert!(output.contains("test result: FAILED"), "\"{what}\" does not compile: {output}");
        assert!(!passes, "\"{what}\" is not caught by {}", caught_by.name());
        say(&format!("{what}: caught by {}", caught_by.name()));
    }
}

impl Test {
    fn name(self) -> &'static str {
        match self {
            Self::Unit(name) | Self::Simulation(name) => name,
        }
    }
}

/// A workspace with the core, and nothing that is not needed to test it.
struct Copy {
    root: PathBuf,
}

impl Copy {
    fn new() -> Self {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutations");
        for folder in ["redirector", "redirector-ebpf"] {
            remove(&root.join(folder));
        }
        copy(&workspace.join("redirector/core"), &root.join("redirector/core"));
        copy(&workspace.join("redirector-ebpf"), &root.join("redirector-ebpf"));
        let manifest = read(&workspace.join("Cargo.toml"));
        let (before, rest) = manifest.split_once("members = [").expect("a list of members");
        let (_, after) = rest.split_once("default-members = [").expect("default members");
        let (_, after) = after.split_once(']').expect("the end of a list");
        // Without its profiles: what runs once is not worth optimising.
        let after = after.split("[profile").next().unwrap_or(after);
        let members = r#"["redirector/core", "redirector-ebpf", "redirector-ebpf/common"]"#;
        fs::write(root.join("Cargo.toml"), format!("{before}members = {members}\n{after}"))
            .expect("target/tmp can be written");
        fs::copy(workspace.join("Cargo.lock"), root.join("Cargo.lock")).expect("a lock file");
        Self { root }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.root.join("redirector/core/src").join(file)
    }

    fn source(&self, file: &str) -> String {
        read(&self.path(file))
    }

    fn write(&self, file: &str, source: &str) {
        fs::write(self.path(file), source).expect("target/tmp can be written");
    }

    /// Whether it passes, and what it said.
    #[expect(clippy::disallowed_types, reason = "a cargo of its own compiles the mistake")]
    fn test(&self, test: Test) -> (bool, String) {
        let target = match test {
            Test::Unit(_) => ["--lib", "--quiet"].as_slice(),
            Test::Simulation(_) => ["--test", "simulation", "--quiet"].as_slice(),
        };
        let output = std::process::Command::new(env!("CARGO"))
            .args(["test", "--offline", "--package", "redirector-core"])
            .args(target)
            .args(["--", "--exact", test.name()])
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", self.root.join("target"))
            .env("CARGO_PROFILE_TEST_DEBUG", "0")
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env("RUST_BACKTRACE", "0")
            .env("REDIRECTOR_WORLDS", "100")
            .env_remove("REDIRECTOR_SEED")
            .output()
            .expect("cargo runs");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        let is_one = said.contains("running 1 test") || !output.status.success();
        assert!(is_one, "there is no test {}: {said}", test.name());
        (output.status.success(), said)
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("target/tmp can be written");
    for entry in fs::read_dir(from).expect("a folder of this workspace") {
        let entry = entry.expect("an entry of it");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("target/tmp can be written");
        }
    }
}

fn remove(folder: &Path) {
    if folder.exists() {
        fs::remove_dir_all(folder).expect("an earlier copy can be removed");
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[expect(clippy::print_stderr, reason = "which test caught what")]
fn say(text: &str) {
    eprintln!("{text}");
}
