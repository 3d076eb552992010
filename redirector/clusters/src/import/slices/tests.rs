//! How endpoints are divided among slices.

use super::*;

fn spot(port: u16, last: u8) -> Spot {
    let port = OutboxPort { name: "http".into(), protocol: "TCP".into(), app_protocol: None, port };
    Spot { ports: [port].into(), address: IpAddr::from([10, 2, 0, last]) }
}

fn endpoint(spot: &Spot) -> OutboxEndpoint {
    OutboxEndpoint {
        address: spot.address,
        is_ready: true,
        is_serving: true,
        is_terminating: false,
        node: Some("n".into()),
        zone: Some("a".into()),
        hostname: None,
    }
}

#[test]
fn a_change_of_one_endpoint_rewrites_one_slice_and_moves_no_other() {
    let object = ObjectRef { namespace: "shop".into(), name: "web".into() };
    let regions = [("a".to_owned(), "eu".to_owned()), ("b".to_owned(), "us".to_owned())].into();
    let cluster: Arc<str> = "west".into();
    let heading = Heading {
        object: &object,
        cluster: &cluster,
        reach: Reach::Pod,
        weight: 100,
        regions: &regions,
        derived: None,
        owner: Some("u-1"),
        ports: None,
    };
    let spots: Vec<Spot> = (0..250).map(|last| spot(8080, last)).collect();
    let mut endpoints: BTreeMap<Spot, OutboxEndpoint> =
        spots.iter().map(|spot| (spot.clone(), endpoint(spot))).collect();
    let mut slices = Slices::default();
    let mut update =
        |endpoints: &BTreeMap<Spot, OutboxEndpoint>| -> BTreeMap<String, (Body, Pace)> {
            let written = slices.update(&heading, &endpoints.iter().collect());
            written.into_iter().map(|(name, body, pace)| (name, (body, pace))).collect()
        };
    let first = update(&endpoints);
    assert_eq!(first.len(), 3, "100, 100 and 50");
    let hash = short_hash("shop/web/west", 8);
    assert!(first.contains_key(&format!("web-west-{hash}-0")), "{:?}", first.keys());
    let changed = |before: &BTreeMap<String, (Body, Pace)>,
                   after: &BTreeMap<String, (Body, Pace)>| {
        let is_other = |(name, (body, _)): &(&String, &(Body, Pace))| {
            before.get(*name).is_none_or(|(before, _)| before != body)
        };
        after.iter().filter(is_other).map(|(_, (_, pace))| *pace).collect::<Vec<_>>()
    };
    endpoints.get_mut(&spots[120]).expect("it is there").is_ready = false;
    let second = update(&endpoints);
    assert_eq!(changed(&first, &second), [Pace::AtOnce], "unready");
    endpoints.remove(&spots[3]);
    let third = update(&endpoints);
    assert_eq!(changed(&second, &third), [Pace::AtOnce], "gone");
    endpoints.insert(spot(8080, 251), endpoint(&spot(8080, 251)));
    let fourth = update(&endpoints);
    assert_eq!(changed(&third, &fourth), [Pace::Paced], "new, in the place that is free");
    assert_eq!(fourth.len(), 3);
    endpoints.insert(spot(9090, 252), endpoint(&spot(9090, 252)));
    let fifth = update(&endpoints);
    assert_eq!(fifth.len(), 4, "another port is another slice");
    let body = fifth[&format!("web-west-{hash}-0")].0.value();
    assert_eq!(body["metadata"]["annotations"][REGIONS], "{\"a\":\"eu\"}");
    assert_eq!(body["metadata"]["ownerReferences"][0]["uid"], "u-1");
}
