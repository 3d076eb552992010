//! Whatever an API server does, and wherever a program is killed: no backend is missing that was eligible
//! before and is after.

use std::{
    collections::BTreeSet,
    panic::{self, AssertUnwindSafe},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use redirector_tests::{
    api::{Effect, Fault, Verb},
    fleet::{CONTROLLER, Fleet, Member, NAMESPACE, Setup},
    size::{is_left_to_full, sized},
    wait::wait_within,
};

use super::joined::joined;

/// How soon all is as it should be, once nothing is wrong any more.
const LONGEST: Duration = Duration::from_secs(30);

/// West's replicas 1 and 2 stay, 3 comes and goes.
fn three_replicas() -> Fleet {
    let fleet = joined(&Setup { clusters: 2, replicas: 3, ..Setup::default() }, &[]);
    set(&fleet, false);
    converge(&fleet);
    fleet
}

#[test]
fn under_every_fault_of_an_api_server_no_backend_is_missing() {
    if is_left_to_full("fleet::faults") {
        return;
    }
    let fleet = three_replicas();
    let west: Vec<Wrong> = vec![
        Box::new(|west| west.api.faults().cut_watches(None)),
        Box::new(|west| west.api.faults().close_watches(None)),
        Box::new(|west| {
            west.api.compact();
            west.api.faults().cut_watches(None);
        }),
        Box::new(|west| west.api.faults().silence("endpointslices", true)),
        Box::new(|west| west.api.faults().silence("exportedservices", true)),
        Box::new(|west| west.api.faults().silence("leases", true)),
        Box::new(|west| west.api.stop()),
        Box::new(|west| west.api.refuse()),
    ];
    // Each silence makes the next return slower: in CI every third must do.
    let step = sized(1, 3);
    let codes = [403, 503, 401, 404, 410, 429, 500, 504].map(Effect::Status);
    let effects = codes.into_iter().chain([Effect::Hang, Effect::Empty, Effect::Half]);
    let reads = effects.map(|effect| {
        Box::new(move |west: &Member| {
            let fault = Fault::new(effect).by(IMPORTER);
            west.api.faults().add(fault);
            west.api.faults().cut_watches(None);
        }) as Wrong
    });
    let mut is_three = false;
    for (number, wrong) in west.into_iter().chain(reads).enumerate().step_by(step) {
        is_three = !is_three;
        unharmed(&fleet, &format!("fault {number} of west"), || {
            wrong(fleet.member("west"));
            set(&fleet, is_three);
            thread::sleep(Duration::from_millis(sized(3_000, 700)));
            fleet.member("west").api.faults().clear();
            fleet.member("west").api.restart().expect("its port");
        });
    }
    let writes = [Effect::Status(409), Effect::Status(500), Effect::Hang, Effect::Deaf];
    for effect in writes.into_iter().step_by(step) {
        is_three = !is_three;
        unharmed(&fleet, &format!("east's writes: {effect:?}"), || {
            let east = fleet.member("east");
            east.api.faults().add(Fault::new(effect).on_writes().by(CONTROLLER));
            set(&fleet, is_three);
            thread::sleep(Duration::from_millis(sized(3_000, 700)));
            east.api.faults().clear();
        });
    }
}

#[test]
fn an_older_backup_on_either_side_takes_no_backend_away() {
    let mut fleet = three_replicas();
    for name in ["west", "east"] {
        let saved = fleet.member(name).api.save();
        set(&fleet, true);
        converge(&fleet);
        watched(&fleet, || {
            let api = &fleet.member(name).api;
            api.stop();
            api.restore(&saved);
            api.restart().expect("its port");
            thread::sleep(Duration::from_secs(sized(10, 2)));
        });
        // As one must do with all that watches after a restore.
        fleet.member_mut(name).controllers[0].restart().expect("it starts");
        unharmed(&fleet, &format!("{name} restored"), || ());
        set(&fleet, false);
        converge(&fleet);
    }
}

#[test]
fn killed_at_each_write_an_importer_and_an_exporter_leave_no_gap() {
    let mut fleet = three_replicas();
    let writes = [
        ("east", "endpointslices"),
        ("west", "endpointslices"),
        ("west", "exportedservices"),
        ("west", "leases"),
    ];
    let mut is_three = false;
    for (at, (name, resource)) in writes.into_iter().enumerate() {
        let all = (0..4).flat_map(|number| [(Effect::Hang, number), (Effect::Deaf, number)]);
        // In CI the first write of each, without and with its effect in turn.
        for (effect, number) in all.skip(sized(0, at % 2)).take(sized(8, 1)) {
            is_three = !is_three;
            let fault = Fault::new(effect).on_writes().of(resource).by(CONTROLLER).after(number);
            fleet.member(name).api.forget_requests();
            fleet.member(name).api.faults().add(fault);
            let was_hit = watched(&fleet, || {
                set(&fleet, is_three);
                let begun = Instant::now();
                while begun.elapsed() < Duration::from_secs(2) {
                    if is_hung(fleet.member(name), resource) {
                        return true;
                    }
                    thread::sleep(Duration::from_millis(2));
                }
                false
            });
            fleet.member_mut(name).controllers[0].kill();
            fleet.member(name).api.faults().clear();
            fleet.member_mut(name).controllers[0].restart().expect("it starts");
            let begun = Instant::now();
            watched(&fleet, || converge(&fleet));
            println!(
                "{name} killed at write {number} of {resource} ({effect:?}, hit: {was_hit}): {:?}",
                begun.elapsed()
            );
        }
    }
}

/// West's name for east's importer.
const IMPORTER: &str = "system:serviceaccount:redirector-exports:importer-east";

/// A write that has come and has no answer.
fn is_hung(member: &Member, resource: &str) -> bool {
    let requests = member.api.requests();
    requests.iter().any(|one| {
        let is_write = !one.verb.is_reading() && one.verb != Verb::DeleteCollection;
        is_write && one.resource == resource && one.code == 0 && one.user == CONTROLLER
    })
}

/// What goes wrong in a cluster.
type Wrong = Box<dyn Fn(&Member)>;

/// West has replicas 1 and 2, and 3 or not.
fn set(fleet: &Fleet, is_three: bool) {
    let all = [(1, true), (2, true), (3, true)];
    fleet.member("west").put_slices("web", &all[..if is_three { 3 } else { 2 }]);
}

/// Does it while the stable backends are watched, then waits until all is as it should be.
fn unharmed(fleet: &Fleet, what: &str, wrong: impl FnOnce()) {
    let begun = Instant::now();
    let took = watched(fleet, || {
        wrong();
        let over = Instant::now();
        converge(fleet);
        over.elapsed()
    });
    println!("{what}: as it should be {took:?} after its end, {:?} in all", begun.elapsed());
}

/// Does it; at no instant one of west's replicas 1 and 2 is missing in east.
fn watched<T>(fleet: &Fleet, job: impl FnOnce() -> T) -> T {
    let is_over = AtomicBool::new(false);
    let (east, west) = (fleet.member("east"), fleet.member("west"));
    let stable: BTreeSet<_> =
        [1, 2].iter().flat_map(|number| west.addresses(*number)).map(|ip| ip.to_string()).collect();
    thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut missing = BTreeSet::new();
            while !is_over.load(Ordering::Relaxed) {
                let there = imported(east);
                missing.extend(stable.difference(&there).cloned());
                thread::sleep(Duration::from_micros(500));
            }
            missing
        });
        // Also when it panics: the scope waits for its thread.
        let done = panic::catch_unwind(AssertUnwindSafe(job));
        is_over.store(true, Ordering::Relaxed);
        let missing = watching.join().expect("a watching thread");
        assert!(missing.is_empty(), "missing for an instant: {missing:?}\n{}", fleet.context());
        done.unwrap_or_else(|reason| panic::resume_unwind(reason))
    })
}

/// Waits until east has exactly what west has.
fn converge(fleet: &Fleet) {
    let (east, west) = (fleet.member("east"), fleet.member("west"));
    let is_so = || {
        let wanted = ready(&west.api.list("endpointslices"), |labels| {
            labels["kubernetes.io/service-name"] == "web"
        });
        imported(east) == wanted && east.phase("west").as_deref() == Some("Live")
    };
    let context = || format!("{:?}\n{}", imported(east), fleet.context());
    wait_within(LONGEST, "east has what west has", is_so, context);
}

/// West's ready endpoints of `web` in east.
fn imported(east: &Member) -> BTreeSet<String> {
    ready(&east.api.list("endpointslices"), |labels| {
        labels["multicluster.kubernetes.io/source-cluster"] == "west"
            && labels["multicluster.kubernetes.io/service-name"] == "web"
    })
}

fn ready(
    slices: &[serde_json::Value],
    is_its: impl Fn(&serde_json::Value) -> bool,
) -> BTreeSet<String> {
    let its = slices.iter().filter(|slice| {
        slice["metadata"]["namespace"] == NAMESPACE && is_its(&slice["metadata"]["labels"])
    });
    let endpoints = its.flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten());
    let ready = endpoints.filter(|one| one["conditions"]["ready"] != false);
    ready.filter_map(|one| one["addresses"][0].as_str()).map(str::to_owned).collect()
}
