//! The one list of tests that may be skipped. Any other skip fails the run.

const NO_REAL_SERVER: &str =
    "kube-apiserver and etcd are nowhere to be had but from Kubernetes' own servers";

const NO_EARLIER: &str = "only --full builds an earlier commit, of which a shallow clone has none";

const TOO_LONG: &str = "minutes of real timers: by --full";

/// The name that the test prints after `SKIP`, with its suite, and why it may be skipped.
const ALLOWED: &[(&str, &str)] = &[
    ("clients::java", "a JDK is a download of 130 MB"),
    ("clients::psql", "PostgreSQL is a download of 72 MB"),
    ("deploy::helm", "Debian has no helm"),
    ("deploy::kubectl", "Debian's kubectl knows no kustomize components"),
    ("fake_api::a_real_server_answers_the_same_handle", NO_REAL_SERVER),
    ("fleet::dead_without_an_importer", TOO_LONG),
    ("fleet::faults", TOO_LONG),
    ("fleet::readiness", TOO_LONG),
    ("kernels::linux_5_10", "Debian's mirrors may have dropped this kernel's packages"),
    (
        "kernels::linux_6_1",
        "between the oldest and the newest: by --full, if Debian's mirrors have it",
    ),
    (
        "kernels::linux_6_12",
        "between the oldest and the newest: by --full, if Debian's mirrors have it",
    ),
    ("kernels::linux_newest", "Debian's unstable release may be in the middle of a transition"),
    ("kube::reports_are_really_written", NO_REAL_SERVER),
    ("outages::policies_really_hold_through_an_upgrade_of_their_definition", NO_REAL_SERVER),
    ("outages::really_compacted", NO_REAL_SERVER),
    ("outages::really_restarted", NO_REAL_SERVER),
    ("outages::really_restored_as_it_was", NO_REAL_SERVER),
    ("outages::really_restored_with_raised_revisions", NO_REAL_SERVER),
    ("upgrade::a_daemon_set_is_rolled_out_and_back", NO_EARLIER),
    ("upgrade::a_host_that_never_had_the_earlier_one_goes_back", NO_EARLIER),
    ("upgrade::a_host_there_and_back", NO_EARLIER),
    ("upgrade::a_host_whose_agents_are_killed", NO_EARLIER),
    ("upgrade::a_node_there_and_back", NO_EARLIER),
    ("upgrade::a_take_over_that_dies_is_begun_again", NO_EARLIER),
    ("upgrade::what_a_release_was_installed_with_is_understood", "Debian has no helm"),
    ("upgrade::what_is_stored_stays_valid", NO_EARLIER),
];

pub(super) fn is_allowed(test: &str) -> bool {
    ALLOWED.iter().any(|(allowed, _)| *allowed == test)
}
