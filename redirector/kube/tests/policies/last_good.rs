//! A version that is invalid changes nothing: the last good one stays in force.

use redirector_kube::{
    api::Change,
    policies::{ConditionKind, Policies},
};
use serde_json::json;

use super::{
    statuses::{Ground, said},
    support::{batch, of, percent, policy, rejected, services, shop},
};

#[test]
fn the_last_good_version_stays_in_force_and_the_status_says_so_of_the_new_one() {
    let good = policy("a", 1, 11, &["s", "t"]).with("/metadata/generation", json!(3));
    let mut policies = of([&good]);
    for bad in [
        good.clone().with("/spec/minHealthyPercent", json!(0)),
        good.clone().with("/spec/minHealthyPercent", json!("most")),
        good.clone().with("/spec/targetRefs", json!([])),
        good.clone().with("/spec", json!(null)),
    ] {
        let bad = bad.with("/metadata/generation", json!(4));
        assert_eq!(policies.take(batch([bad.put()])), services(&[]));
        assert_eq!(percent(&policies, "s"), Some(11));
        let status = &policies.statuses(&Ground::default())[&shop("a")];
        assert_eq!(status.generation, 4);
        let accepted = said(status, ConditionKind::Accepted);
        assert_eq!((accepted.status, accepted.reason), (Some(false), "Invalid"));
        let stays = "generation 3 stays in force: ";
        assert!(accepted.message.starts_with(stays), "{}", accepted.message);
        let programmed = said(status, ConditionKind::Programmed);
        assert_eq!((programmed.status, programmed.reason), (Some(false), "NotAccepted"));
        let degraded = said(status, ConditionKind::Degraded);
        assert_eq!((degraded.status, degraded.reason), (Some(false), "AsExpected"));
    }
    let better = policy("a", 1, 12, &["t"]).with("/metadata/generation", json!(5));
    assert_eq!(policies.take(batch([better.put()])), services(&["s", "t"]));
    assert_eq!((percent(&policies, "s"), percent(&policies, "t")), (None, Some(12)));
}

#[test]
fn one_that_cannot_be_read_at_all_changes_nothing_either() {
    let mut policies = of([&policy("a", 1, 11, &["s"])]);
    assert_eq!(policies.take(batch([rejected("a", "it is no JSON")])), services(&[]));
    assert_eq!(percent(&policies, "s"), Some(11));
    let status = &policies.statuses(&Ground::default())[&shop("a")];
    let accepted = said(status, ConditionKind::Accepted);
    assert_eq!((status.generation, accepted.reason), (1, "Invalid"));
    assert_eq!(accepted.message, "generation 1 stays in force: it is no JSON");
    policies.take(batch([policy("a", 1, 11, &["s"]).put()]));
    let status = &policies.statuses(&Ground::default())[&shop("a")];
    assert_eq!(said(status, ConditionKind::Accepted).reason, "Accepted");
}

#[test]
fn of_a_policy_that_never_was_good_nothing_is_in_force() {
    let bad = policy("a", 1, 11, &["s"]).with("/spec/mode", json!("Spell"));
    let mut policies = Policies::default();
    assert_eq!(policies.take(batch([bad.put(), rejected("b", "odd")])), services(&[]));
    assert_eq!(percent(&policies, "s"), None);
    let statuses = policies.statuses(&Ground::default());
    let message = |name: &str| &said(&statuses[&shop(name)], ConditionKind::Accepted).message;
    assert!(message("a").starts_with("nothing of it is in force: mode: unknown variant"));
    assert_eq!(message("b"), "nothing of it is in force: odd");
    let degraded = said(&statuses[&shop("a")], ConditionKind::Degraded);
    assert_eq!((degraded.status, degraded.reason), (None, "NotAccepted"));
}

#[test]
fn an_invalid_version_keeps_its_place_before_younger_policies() {
    let old = policy("old", 1, 11, &["s"]);
    let mut policies = of([&old, &policy("new", 2, 12, &["s"])]);
    policies.take(batch([old.with("/spec/mode", json!("Spell")).put()]));
    assert_eq!(percent(&policies, "s"), Some(11));
}

#[test]
fn another_object_of_the_same_name_has_no_last_good_version() {
    let old = policy("a", 1, 11, &["s"]);
    let mut policies = of([&old]);
    let other = old.with("/metadata/uid", json!("a-2")).with("/spec/mode", json!("Spell"));
    assert_eq!(policies.take(batch([other.put()])), services(&["s"]));
    assert_eq!(percent(&policies, "s"), None);
}

#[test]
fn a_removal_ends_the_last_good_version_too() {
    let good = policy("a", 1, 11, &["s"]);
    let mut policies = of([&good]);
    policies.take(batch([good.with("/spec/mode", json!("Spell")).put()]));
    assert_eq!(policies.take(batch([Change::Remove(shop("a"))])), services(&["s"]));
    assert_eq!(percent(&policies, "s"), None);
    assert!(policies.statuses(&Ground::default()).is_empty());
}
