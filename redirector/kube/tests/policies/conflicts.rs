//! Of several policies for one Service the oldest holds, then the first by name.

use redirector_kube::{api::Change, policies::Policies};
use serde_json::json;

use super::support::{Written, batch, held, object, of, percent, policy, services, shop};

/// Every order of `all`.
fn orders(all: &[Written]) -> Vec<Vec<&Written>> {
    let Some((first, rest)) = all.split_first() else { return vec![Vec::new()] };
    let mut found = Vec::new();
    for order in orders(rest) {
        for at in 0..=order.len() {
            let mut order = order.clone();
            order.insert(at, first);
            found.push(order);
        }
    }
    found
}

#[test]
fn the_oldest_holds_then_the_first_by_name_in_whatever_order_they_are_heard_of() {
    for (name, policies, holder) in [
        ("one", vec![policy("a", 5, 11, &["s"])], 11),
        ("the older one", vec![policy("a", 5, 11, &["s"]), policy("b", 4, 12, &["s"])], 12),
        ("the first by name", vec![policy("b", 5, 12, &["s"]), policy("a", 5, 11, &["s"])], 11),
        (
            "age before name",
            vec![
                policy("a", 9, 11, &["s"]),
                policy("c", 1, 13, &["s"]),
                policy("b", 1, 12, &["s"]),
            ],
            12,
        ),
        (
            "a name that continues another one comes later",
            vec![policy("a-b", 5, 11, &["s"]), policy("a", 5, 12, &["s"])],
            12,
        ),
    ] {
        for order in orders(&policies) {
            assert_eq!(percent(&of(order.clone()), "s"), Some(holder), "{name}, one batch");
            let mut found = Policies::default();
            for policy in order {
                found.take(batch([policy.put()]));
            }
            assert_eq!(percent(&found, "s"), Some(holder), "{name}, one by one");
        }
    }
}

#[test]
fn it_is_decided_per_service() {
    let policies = of(&[policy("old", 1, 11, &["a", "b"]), policy("new", 2, 12, &["b", "c"])]);
    let held = ["a", "b", "c", "d"].map(|service| percent(&policies, service));
    assert_eq!(held, [Some(11), Some(11), Some(12), None]);
}

#[test]
fn a_policy_is_for_services_of_its_own_namespace() {
    let elsewhere = policy("a", 1, 11, &["s"]).with("/metadata/namespace", json!("other"));
    let policies = of(&[elsewhere, policy("a", 2, 12, &["s"])]);
    assert_eq!(percent(&policies, "s"), Some(12));
    let other = policies.of(&object("other", "s")).expect("a policy");
    assert_eq!(other.policy, object("other", "a"));
}

#[test]
fn what_is_returned_are_the_services_for_which_another_policy_holds_now() {
    let mut policies = Policies::default();
    let old = policy("old", 1, 11, &["a", "b"]);
    let new = policy("new", 2, 12, &["b", "c"]);
    let mut take = |changes| policies.take(batch(changes));
    assert_eq!(take(vec![new.put()]), services(&["b", "c"]), "the first ones");
    assert_eq!(take(vec![old.put()]), services(&["a", "b"]), "an older one takes b");
    assert_eq!(take(vec![old.put(), new.put()]), services(&[]), "a relist");
    let generation = new.clone().with("/metadata/generation", json!(2));
    assert_eq!(take(vec![generation.put()]), services(&[]), "a version that says the same");
    let changed = new.clone().with("/spec/mode", json!("Spill"));
    assert_eq!(take(vec![changed.put()]), services(&["c"]), "b is not its");
    let moved = policy("old", 1, 11, &["a", "d"]);
    assert_eq!(take(vec![moved.put()]), services(&["b", "d"]), "b goes to the newer one");
    assert_eq!(take(vec![Change::Remove(shop("old"))]), services(&["a", "d"]), "gone");
    assert_eq!(take(vec![Change::Remove(shop("old"))]), services(&[]), "gone before");
    let back_and_forth = vec![Change::Remove(shop("new")), changed.put()];
    assert_eq!(take(back_and_forth), services(&[]), "the end of a batch counts");
    let younger = changed.with("/metadata/uid", json!("another"));
    assert_eq!(take(vec![younger.put()]), services(&["b", "c"]), "another object of that name");
    assert_eq!(percent(&policies, "a"), None);
}

#[test]
fn a_tier_names_a_service_beside_the_policy_and_one_that_is_itself_is_kept_as_an_empty_one() {
    let tiers = json!([{"name": "spare", "service": {"name": "spare", "port": "http"}}]);
    let policies = of(&[policy("a", 1, 11, &["s"]).with("/spec/tiers", tiers)]);
    let resolved = policies.of(&shop("s")).expect("a policy");
    let named: Vec<_> = resolved.services().map(|(service, tier)| (service, &tier.port)).collect();
    assert_eq!(named, [(shop("spare"), &Some("http".to_owned()))]);
    let own = redirector_core::service::ServiceRef("shop/s:http".into());
    assert_eq!(resolved.valid.policy(&own, |_| own.clone()).tiers.len(), 1);
    assert_eq!(held(&policies, "s").expect("a policy").tiers.len(), 1);
}
