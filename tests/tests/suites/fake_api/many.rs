//! 10,000 Services with 150,000 endpoints are listed quickly, and watches keep up with 1,000
//! changes a second.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use redirector_tests::api::{
    Api, Options,
    builders::{Endpoint, EndpointSlice, Service},
};
use serde_json::{Value, json};

use super::client::{Watch, get, plain};

const SERVICES: usize = 10_000;
/// Of 100 endpoints each.
const SLICES: usize = 1_500;

fn fill(api: &Api) {
    for number in 0..SERVICES {
        let service = Service::new("scale", &format!("s{number:05}")).port("http", "TCP", 80);
        api.put(service).expect("a service");
    }
    for number in 0..SLICES {
        let slice = EndpointSlice::new("scale", &format!("e{number:05}"), &format!("s{number:05}"));
        let slice = (0..100).fold(slice.port("http", "TCP", 8080), |slice, index| {
            let address = format!("10.{}.{}.{index}", number / 200, number % 200);
            slice.endpoint(Endpoint::new(&address).ready(true).node("n1").zone("a"))
        });
        api.put(slice).expect("a slice");
    }
}

/// Items of all pages, and how many pages.
async fn list(api: &Api, path: &str) -> (usize, usize) {
    let (mut items, mut pages, mut token) = (0, 0, String::new());
    loop {
        let mut path = format!("{path}?limit=500");
        if !token.is_empty() {
            write!(path, "&continue={token}").expect("a path");
        }
        let page: Value = get(api, &path).await.good();
        items += page["items"].as_array().map_or(0, Vec::len);
        pages += 1;
        match page["metadata"]["continue"].as_str() {
            Some(next) => next.clone_into(&mut token),
            None => return (items, pages),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_cluster_is_served() {
    let api = plain(Options::default());
    let start = Instant::now();
    fill(&api);
    println!("{SERVICES} services and {SLICES} slices made in {:?}", start.elapsed());
    let start = Instant::now();
    assert_eq!(list(&api, "/api/v1/services").await, (SERVICES, SERVICES / 500));
    assert_eq!(
        list(&api, "/apis/discovery.k8s.io/v1/endpointslices").await,
        (SLICES, SLICES / 500)
    );
    // This client parses them into trees, without optimization: most of the time is its own.
    println!("both lists read and parsed in {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());

    let from = api.revision();
    let path = format!("/api/v1/services?watch=1&resourceVersion={from}");
    let mut watches = Vec::new();
    for _ in 0..4 {
        watches.push(Watch::start(&api, &path).await);
    }
    let start = Instant::now();
    let readers: Vec<_> = watches
        .into_iter()
        .map(|mut watch| {
            tokio::spawn(async move {
                for _ in 0..2_000 {
                    watch.line().await.expect("an event");
                }
            })
        })
        .collect();
    tokio::task::block_in_place(|| {
        for number in 0..2_000 {
            let patch = json!({"metadata": {"labels": {"n": number.to_string()}}});
            api.patch("services", "scale", &format!("s{number:05}"), patch).expect("a change");
        }
    });
    for reader in readers {
        reader.await.expect("all events");
    }
    println!("2,000 changes seen by 4 watches in {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}
