//! One kind of an outbox cannot be read while the others can: that is said, with what helps, and nothing
//! is taken away.

use redirector_tests::{
    fleet::{Setup, by_cluster},
    wait::wait_until_or,
};

use super::{
    fixture::WEB,
    joined::{said, says, wait_for_backends, west_carries},
};

const EXPORTS: &str = "redirector-exports";

#[test]
fn a_kind_that_may_not_be_read_is_named_and_nothing_of_it_is_taken_away() {
    let fleet = west_carries(&Setup { clusters: 2, ..Setup::default() }, &[]);
    let (east, west) = (fleet.member("east"), fleet.member("west"));
    let is_live = || east.phase("west").as_deref() == Some("Live");
    let role = west.api.get("roles", EXPORTS, "importer-east").expect("its Role");
    for kind in ["endpointslices", "exportedservices"] {
        let mut less = role.clone();
        less["rules"].as_array_mut().expect("rules").retain(|rule| rule["resources"][0] != kind);
        // The watch lives on, as that of a real API server does.
        west.api.put(less).expect("a Role");
        let message = said(&fleet, "Connected", "Unauthorized");
        for part in [kind, "importer-east", "get, list and watch", "cluster join west"] {
            assert!(message.contains(part), "{message}");
        }
        assert_eq!(east.phase("west").as_deref(), Some("Silent"), "{}", fleet.context());
        // And then it does not.
        west.api.faults().cut_watches(Some(kind));
        assert_eq!(by_cluster(&fleet.dial(WEB, 50)), [("west".to_owned(), 100)].into());
        assert_eq!(fleet.backends("web"), 8, "{}", fleet.context());
        west.api.put(role.clone()).expect("a Role");
        wait_until_or("west is Live again", is_live, || fleet.context());
        says(&fleet, "Connected", "True", "Connected");
        west.put_slices("web", &[(1, true)]);
        wait_for_backends(&fleet, 6);
        west.put_slices("web", &[(1, true), (2, true)]);
        wait_for_backends(&fleet, 8);
    }
}
