//! An object that is in order and out of order by turns: its tenant does not fill the log.

use std::{thread, time::Duration};

use redirector_tests::{
    api::builders,
    cluster::{Cluster, PORT, replica, slice},
};

use super::fixture::{FAST, options, service, until};

/// The agent looks that often for what is to be told.
const NOTICES: Duration = Duration::from_millis(250);
/// Lines of one object in a minute.
const MAX_LINES: usize = 10;

#[test]
fn an_object_whose_trouble_comes_and_goes_has_ten_lines_a_minute() {
    let cluster = Cluster::new(options(1, &FAST)).expect("a cluster");
    cluster.api.put(service("web", "10.96.0.10")).expect("a Service");
    // Of a controller that nobody has trusted: then the Service is left to kube-proxy.
    let strange = builders::EndpointSlice::new("shop", "web-1", "web").port("", "TCP", PORT);
    let endpoint = builders::Endpoint::new(&replica(1)[0].to_string());
    let strange = strange.managed_by("somebody").endpoint(endpoint.node("replicas").zone("b"));
    for _ in 0..MAX_LINES * 4 / 5 {
        for (slice, count) in [(strange.clone(), 0), (slice("web", "", &[1]), 1)] {
            cluster.api.put(slice).expect("a slice");
            let expected: &[(&str, usize)] = if count == 0 { &[] } else { &[("shop/web", 1)] };
            cluster.wait_for(expected);
            // What comes and goes within that time is not told.
            thread::sleep(NOTICES);
        }
    }
    // Another object's are told all the same.
    cluster.api.put(service("other", "10.96.0.11")).expect("a Service");
    let other = builders::EndpointSlice::new("shop", "other-1", "other").port("", "TCP", PORT);
    let endpoint = builders::Endpoint::new(&replica(1)[0].to_string());
    cluster.api.put(other.managed_by("somebody").endpoint(endpoint)).expect("a slice");
    let lines = |object: &str| {
        let (log, object) = (cluster.agent.log(), format!("object={object} "));
        log.lines().filter(|line| line.contains(&object)).count()
    };
    until(&cluster, "the other object's trouble is told", || lines("shop/other") > 0);
    assert_eq!(lines("shop/web"), MAX_LINES, "{}", cluster.agent.log());
}
