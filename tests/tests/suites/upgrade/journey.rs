//! The journey: the earlier version, this one, the earlier one again, and this one once more.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use redirector_tests::{
    dialer::{Transport, now_us},
    fixture, tables,
    wait::wait_until,
};

use super::{
    fixture::{Fixture, Form, LATER, LATER_UDP, PLAIN4, PLAIN6, QUIET, STICKY, TIERS},
    traffic::{Dials, Lasting, Traffic, dial},
};

/// How an agent ends before the next one starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// As systemd and kubelet do it.
    Terminated,
    /// As what has no memory left, or hangs, is ended.
    Killed,
}

/// How long each version serves before the next one comes: probes, sweeps of the kernel.
const STAY: Duration = Duration::from_secs(3);
/// When the earlier binary has exchanged the programs at the latest, in microseconds from the end of this
/// one.
const EXCHANGE: u64 = 2_000_000;
/// Enough to meet each of four backends.
const DIALS: u32 = 60;
/// The maps of the layout before this one that the way back needs.
const LEFT: [&str; 10] = [
    "AFFINITY",
    "BACKENDS",
    "CONFIG",
    "FRONTENDS4",
    "FRONTENDS6",
    "HEALTH",
    "NAMES",
    "NODES",
    "SERVICES",
    "TABLE",
];

/// One after the other.
struct Journey {
    site: Fixture,
    end: End,
    /// What came when, in microseconds of the monotonic clock.
    legs: Vec<(&'static str, u64)>,
}

pub(crate) fn journey(form: Form, end: End, [earlier, now]: [PathBuf; 2]) {
    let mut journey =
        Journey { site: Fixture::new(form, &earlier), end, legs: vec![("before", now_us())] };
    journey.order();
    let mut lasting = Lasting::connect(&journey.site);
    let mut traffic = Traffic::start(&journey.site);
    let since = now_us();
    thread::sleep(STAY);
    lasting.check("before", true);

    journey.go("there", &now);
    lasting.check("there", true);
    journey.is_whole(&["drain node=n4", "force shop/tiers far"]);
    journey.site.write_later();
    journey.serves(LATER, Transport::Tcp);
    journey.serves(LATER_UDP, Transport::UdpUnconnected);
    traffic.add(&journey.site, LATER, Transport::Tcp);
    traffic.add(&journey.site, LATER_UDP, Transport::UdpUnconnected);
    journey.site.agent.answer("drain", &["backend=10.77.2.1:9000"]);
    if end == End::Killed {
        // As if it had died between the two layouts.
        journey.site.forget_kept();
        journey.site.agent.restart().expect("it is ready");
    }
    thread::sleep(STAY);

    // What the earlier binary does is done: it exchanges the programs at once, and those forget.
    let orders = ["drain node=n4", "force shop/tiers far", "drain backend=10.77.2.1:9000"];
    journey.go("back", &earlier);
    lasting.check("back", false);
    journey.has_orders(&orders);
    thread::sleep(STAY);

    journey.go("there again", &now);
    lasting.check("there again", false);
    journey.is_whole(&orders);
    thread::sleep(STAY);

    journey.site.agent.answer("undrain", &["backend=10.77.2.1:9000"]);
    let dials = traffic.stop();
    lasting.end();
    journey.account(&dials, since);
    let Journey { site, .. } = journey;
    let fixture::Fixture { agent, site } = site.fixture;
    agent.finish().expect("an agent that unloads, without errors");
    assert!(
        std::fs::read_dir(site.bpffs.pin_path()).map_or(0, Iterator::count) == 0,
        "pins are left"
    );
}

impl Journey {
    /// What has to outlive every version: a drain, a force, an ejection.
    fn order(&mut self) {
        // The death of one that has never answered a probe is not believed.
        wait_until("every replica has answered a probe", || self.healthy() == 8);
        self.site.kill_one();
        self.site.agent.answer("drain", &["node=n4"]);
        self.site.agent.answer("force", &["shop/tiers", "far"]);
        wait_until("the dead replica is ejected, and all orders are in force", || {
            if self.healthy() != 6 {
                return false;
            }
            let is_good = |name: &String| name != "n4" && name != "dead";
            [PLAIN4, PLAIN6, QUIET].iter().all(|address| {
                let answers = self.answers(address);
                answers.len() == DIALS as usize && answers.iter().all(is_good)
            }) && self.answers(TIERS).iter().all(|name| name == "n3")
        });
    }

    /// Addresses of `plain` that the agent's probes find well.
    fn healthy(&self) -> usize {
        self.site.agent.answer("explain", &["shop/plain"]).matches("probes: healthy").count()
    }

    fn answers(&self, address: &str) -> Vec<String> {
        let mut client = self.site.client();
        let dialled = client.dial(dial(address, Transport::Tcp), DIALS).expect("dials");
        dialled.into_iter().filter_map(|one| one.outcome.ok()).collect()
    }

    fn go(&mut self, leg: &'static str, binary: &std::path::Path) {
        self.legs.push((leg, now_us()));
        match self.end {
            End::Terminated => {
                let (status, _) = self.site.agent.stop().expect("the end of an agent");
                assert!(status.success(), "{leg}: {status}");
            }
            End::Killed => self.site.agent.kill9(),
        }
        self.site.set_binary(binary);
        let start = Instant::now();
        self.site.agent.spawn_again().expect("an agent");
        self.site.agent.wait_until_ready().expect("it is ready");
        println!("{leg}: ready after {:.2?}", start.elapsed());
    }

    fn serves(&self, address: &str, transport: Transport) {
        let mut client = self.site.client();
        wait_until("what is new in the file is served", || {
            let dialled = client.dial(dial(address, transport), 1).expect("a dial");
            dialled[0].outcome.is_ok()
        });
    }

    fn has_orders(&self, orders: &[&str]) {
        let listed = self.site.agent.answer("orders", &[]);
        for order in orders {
            let words: Vec<_> = order.split(' ').collect();
            let is_it = |line: &str| words.iter().all(|word| line.contains(word));
            assert!(listed.lines().any(is_it), "{order} is not among\n{listed}");
        }
    }

    /// Of this version alone: nothing is left behind, and what it says is so.
    fn is_whole(&self, orders: &[&str]) {
        self.has_orders(orders);
        let site = &self.site;
        assert_eq!(site.pinned("v3"), LEFT, "of the earlier layout");
        assert_eq!(site.pinned("links").len(), 10, "{:?}", site.pinned("links"));
        let mut others = site.pinned("");
        others.retain(|name| !name.starts_with("steps-"));
        assert_eq!(others, ["links", "v3", "v4"], "directories");

        let status = site.agent.status();
        let plain = tables::services(&status).filter(|service| service["name"] == "shop/plain");
        let mut objected: Vec<_> = plain
            .flat_map(tables::backends_of)
            .filter(|backend| !tables::objections(backend).is_empty())
            .map(|backend| {
                format!("{} {}", backend["address"].as_str().unwrap_or("?"), backend["objections"])
            })
            .collect();
        objected.sort();
        let dead =
            |at: &str| objected.iter().any(|one| one.starts_with(at) && one.contains("prober"));
        assert!(dead("10.77.3.1") && dead("fd77::3:1"), "the ejected replica: {objected:?}");
        let is_drained = |at: &str| objected.contains(&format!("{at} [\"operator\"]"));
        assert!(is_drained("10.77.4.1") && is_drained("fd77::4:1"), "the drain: {objected:?}");
        let explained = site.agent.answer("explain", &["shop/plain"]);
        assert_eq!(explained.matches("operator: node n4 is drained").count(), 2, "{explained}");
        assert_eq!(explained.matches("prober: ").count(), 2, "{explained}");
        let explained = site.agent.answer("explain", &["shop/tiers"]);
        assert!(explained.contains("force"), "{explained}");

        let check = site.agent.run("check", &[]);
        let said = String::from_utf8_lossy(&check.stdout);
        // The stand-in of a node runs it without the capabilities of a loader.
        assert!(check.status.success() || site.form == Form::Node, "{said}");
    }

    /// Nothing has failed, nothing went where it must not, and every peer was that dialled: but for dials
    /// that cross the moment in which the earlier binary exchanges the programs, each by itself. These
    /// succeed, and may show the replica.
    fn account(&self, all: &[Dials], since: u64) {
        let leg = |at: u64| self.legs.iter().rev().find(|(_, from)| at >= *from).copied();
        let (mut count, mut crossing, mut faults) = (0, 0, Vec::new());
        for Dials { dial, all } in all {
            count += all.len();
            for one in all {
                let is_tcp = dial.transport == Transport::Tcp;
                let shown = if is_tcp { one.peer } else { one.peer.or(one.source) };
                let (leg, from) = leg(one.at_us).unwrap_or(("?", 0));
                let is_answered =
                    one.outcome.as_ref().is_ok_and(|name| name != "n4" && name != "dead");
                if is_answered && shown == Some(dial.address) {
                    continue;
                }
                if is_answered && leg == "back" && one.at_us - from < EXCHANGE {
                    crossing += 1;
                    continue;
                }
                let ms = one.at_us.saturating_sub(since) / 1000;
                faults.push(format!("{leg} at {ms} ms: {dial:?} {one:?}"));
            }
        }
        println!(
            "{count} dials, {} faults; {crossing} show the replica on the way back",
            faults.len()
        );
        for text in faults.iter().take(20) {
            println!("{text}");
        }
        assert!(crossing <= all.len(), "{crossing} dials of {} loads at one moment", all.len());
        let sticky = |dials: &&Dials| dials.dial.address == STICKY.parse().expect("an address");
        let keepers = all.iter().filter(sticky).flat_map(|dials| &dials.all);
        let keepers: BTreeSet<_> = keepers.filter_map(|one| one.outcome.as_ref().ok()).collect();
        assert_eq!(
            keepers.len(),
            1,
            "who keeps the clients of a service with affinity: {keepers:?}"
        );
        assert!(faults.is_empty(), "{} faults", faults.len());
    }
}
