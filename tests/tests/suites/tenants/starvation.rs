//! Many silent backends of one tenant do not slow the probes of another's.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use redirector_tests::wait::wait_until;

use super::{
    fixture::Fixture,
    services::{PORT, near, service},
};

const SERVICE: u16 = 1;
/// The other tenant's services, with 16 backends each: services of up to 16 are probed whole.
const SILENT: std::ops::Range<u16> = 100..225;
const EACH: u16 = 16;
const PROBES: &str = "probe: {tcp: {}, interval: 500ms, timeout: 500ms, unhealthy: 2, healthy: 1}";
/// How long probes of the victim's backend are counted.
const COUNTED: Duration = Duration::from_secs(4);
/// Until the agent knows its new backends and has asked most of them.
const SETTLED: Duration = Duration::from_secs(2);
const SLOWER: f64 = 1.5;

/// Backends at addresses behind a node that swallows what is sent there.
fn silent() -> String {
    let one = |service_number: u16| {
        let mut lines = String::new();
        for host in 0..EACH / 2 {
            let number = service_number * EACH + host;
            let _ = write!(
                lines,
                "  - {{address: '10.78.{}.{}:80', zone: a, region: eu}}\n  \
                 - {{address: '[fd78::{number:x}]:80', zone: a, region: eu}}\n",
                number / 256,
                number % 256,
            );
        }
        service(service_number, PROBES, &[lines]).replace("tenants/", "other/")
    };
    SILENT.map(one).collect()
}

fn swallow(site: &Fixture) {
    let hole = site.lab.node("pod2");
    let rules = "table inet hole {\n chain in {\n type filter hook prerouting priority -200\n \
                 ip daddr 10.78.0.0/16 drop\n ip6 daddr fd78::/64 drop\n }\n }";
    hole.netns().nft(rules).expect("a black hole");
    let [v4, v6] = site.addresses("pod2");
    let routes = format!("route add 10.78.0.0/16 via {v4}\nroute add fd78::/64 via {v6}");
    site.lab.node("host").netns().ip(&routes).expect("routes");
}

/// Mean time between two probes of one backend.
fn interval(site: &Fixture) -> Duration {
    let (begin, before) = (Instant::now(), site.accepted("near"));
    std::thread::sleep(COUNTED);
    let probes = u32::try_from(site.accepted("near") - before).expect("few probes").max(1);
    2 * begin.elapsed() / probes
}

/// From the death of the victim's replica to the verdict; it lives again afterwards.
fn ejection(site: &mut Fixture) -> Duration {
    let is_out = |site: &Fixture| {
        let mut out = site.objections();
        out.retain(|one| !one.starts_with("10.78.") && !one.starts_with("[fd78:"));
        out.len()
    };
    site.replicas[0].kill();
    let begin = Instant::now();
    wait_until("the verdict", || is_out(site) == 2);
    let took = begin.elapsed();
    site.replicas[0].restart().expect("the replica");
    wait_until("it is back", || is_out(site) == 0);
    took
}

#[test]
fn two_thousand_silent_backends_do_not_slow_the_probes_of_another_tenant() {
    let own = service(SERVICE, PROBES, &[near(PORT)]);
    let mut site = Fixture::new(&[("near", PORT)], &own);
    swallow(&site);
    site.wait_for_probes(&[SERVICE]);
    let without = (interval(&site), ejection(&mut site));
    site.list(&[own, silent()].concat());
    std::thread::sleep(SETTLED);
    let with = (interval(&site), ejection(&mut site));
    println!(
        "probes every {:?} without, {:?} with {} silent backends; ejected after {:?} and {:?}",
        without.0,
        with.0,
        SILENT.len() * usize::from(EACH),
        without.1,
        with.1
    );
    assert!(with.0 <= without.0.mul_f64(SLOWER), "{:.1}-fold", with.0.div_duration_f64(without.0));
    // Two probes, each up to a tenth late; where in its interval the first death falls is chance.
    let longest = Duration::from_millis(500).mul_f64(2.0 * 1.1 * SLOWER);
    assert!(with.1 <= longest, "ejected after {:?}", with.1);
}
