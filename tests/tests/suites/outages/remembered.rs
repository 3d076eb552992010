//! An agent that begins while the API server's usual address does not answer: it knows the others.

use std::fs;

use redirector_tests::{
    api::builders,
    cluster::{Cluster, slice},
};

use super::fixture::{FAST, options, service, until_of};

#[test]
fn the_api_servers_other_addresses_outlive_the_agent() {
    let mut options = options(2, &FAST);
    // That of the client's node: a loopback address is nobody's endpoint.
    options.api.listen = "10.77.1.1:0".parse().expect("an address");
    let mut cluster = Cluster::new(options).expect("a cluster");
    cluster.api.put(service("web", "10.96.0.10")).expect("a Service");
    cluster.api.put(slice("web", "", &[1])).expect("a slice");
    let server = cluster.api.address();
    let own = builders::EndpointSlice::new("default", "kubernetes", "kubernetes");
    let endpoint = builders::Endpoint::new(&server.ip().to_string());
    cluster.api.put(own.port("https", "TCP", server.port()).endpoint(endpoint)).expect("a slice");
    let kept = cluster.agent.run_directory().join("api-servers");
    let remembered = || fs::read_to_string(&kept).unwrap_or_default();
    until_of(&cluster.agent, "its endpoints are kept", || remembered() == format!("{server}\n"));
    cluster.agent.kill9();
    // Half a file of an agent that was killed.
    fs::write(kept.with_extension("new"), "10.").expect("written");

    let mut arguments = cluster.agent.options().arguments.clone();
    // Nothing listens there.
    arguments.extend(["--api-server".to_owned(), format!("https://{}:1", server.ip())]);
    cluster.agent.set_arguments(arguments);
    cluster.agent.spawn_again().expect("the agent");
    cluster.api.put(slice("web", "", &[1, 2])).expect("a slice");
    cluster.wait_for(&[("shop/web", 2)]);
    assert!(!kept.with_extension("new").exists());
}
