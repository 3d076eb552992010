//! TLS and a well-known client: kube believes the CA, and only that one.

use k8s_openapi::api::core::v1::Service;
use kube::{
    Client, Config,
    api::{Api as KubeApi, ListParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use redirector_tests::{
    api::{Api, Options, builders},
    netns::Netns,
};
use serde_json::json;

async fn client(api: &Api) -> Client {
    let kubeconfig = Kubeconfig::read_from(api.kubeconfig()).expect("a kubeconfig");
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    Client::try_from(config.expect("a configuration")).expect("a client")
}

#[tokio::test]
async fn kube_lists_creates_and_gets_over_tls() {
    let api = Api::start(Options::default()).expect("a server");
    api.put(builders::Service::new("default", "one").port("", "TCP", 80)).expect("a service");
    let services: KubeApi<Service> = KubeApi::namespaced(client(&api).await, "default");

    let list = services.list(&ListParams::default().limit(1)).await.expect("a list");
    let two = json!({"metadata": {"name": "two"}, "spec": {"ports": [{"port": 80}]}});
    let two: Service = serde_json::from_value(two).expect("a service");
    let made = services.create(&PostParams::default(), &two).await.expect("a service");
    let again = services.create(&PostParams::default(), &two).await.expect_err("it exists");
    let missing = services.get_opt("three").await.expect("an answer");

    assert_eq!(list.items.len(), 1);
    assert!(made.spec.and_then(|spec| spec.cluster_ip).is_some_and(|ip| ip.starts_with("10.96.")));
    assert!(matches!(&again, kube::Error::Api(status) if status.code == 409), "{again:?}");
    assert!(missing.is_none());
}

#[test]
fn it_listens_within_a_network_namespace() {
    let netns = Netns::new().expect("a namespace");
    let options = Options { netns: Some(netns.clone()), tls: false, ..Options::default() };
    let api = Api::start(options).expect("a server");
    let address = api.address();

    let inside = netns.run(|| std::net::TcpStream::connect(address).map(drop));
    let outside = std::net::TcpStream::connect(address);

    inside.expect("it listens inside");
    outside.expect_err("and only there");
}
