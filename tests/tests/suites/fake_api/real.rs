//! The same handle for a real kube-apiserver, where its programs are given.

use redirector_tests::{
    api::{RealApi, Server as _, builders::Service},
    netns::Netns,
};

#[test]
fn a_real_server_answers_the_same_handle() {
    let assets = match RealApi::assets() {
        Ok(assets) => assets,
        Err(why) => {
            println!("SKIP a_real_server_answers_the_same_handle: {why}");
            return;
        }
    };
    let netns = Netns::new().expect("a namespace");
    let api = RealApi::start(assets, &netns).expect("a real API server");
    api.put(Service::new("default", "one").port("http", "TCP", 80)).expect("a service");

    let kept = api.get("services", "default", "one").expect("an answer").expect("a service");
    api.remove("services", "default", "one").expect("it is there");

    assert_eq!(kept["spec"]["type"], "ClusterIP");
    assert_eq!(api.get("services", "default", "one").expect("an answer"), None);
}
