//! A cluster of 10,000 Services and 150,000 endpoints: cold start, single changes, many, restart.
//!
//! The limits are for the optimized agent that `cargo xtask test --full` builds and names in
//! `REDIRECTOR_BIN`; any other one may take ten times as long.

mod clusters;
mod heartbeat;
mod kernel;
mod population;
mod process;

use std::{
    collections::{BTreeMap, BTreeSet},
    env, io,
    net::{IpAddr, Ipv4Addr, TcpListener},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use redirector_tests::{
    agent::Agent,
    cluster::{Cluster, Options, PORT},
    size::sized,
    wait::wait_within,
};

use self::{
    heartbeat::Longest,
    kernel::Kernel,
    population::{ENDPOINTS, NAMESPACE, PODS, Population, SERVICES, name, scattered},
    process::{Memory, age, cpu},
};

/// From the agent's first instruction to the last Service in the kernel.
const COLD: Duration = Duration::from_secs(10);
/// The most memory that the agent ever has, in KiB, mapped arrays of the kernel included.
const PEAK: u64 = 300 * 1_024;
const CHANGES: u32 = 300;
/// From the API server's having it to the kernel's, in 99 of 100 changes.
const ONE_CHANGE: Duration = Duration::from_millis(20);
/// Other work on the machine can only add: the best one counts.
const ROUNDS: u32 = 3;
/// In CI a third.
const STORM: Duration = Duration::from_secs(30);
/// The kernel hears of the agent every 500 ms; a storm and a question about everything may delay that.
const SILENCE: Duration = Duration::from_millis(600);
/// Nor do they keep the agent's task from another question.
const ANSWER: Duration = Duration::from_secs(1);
const PER_SECOND: u32 = 1_000;
/// How much the agent may grow in the storm once the copy of its state is gone, in KiB.
const GROWTH: u64 = 32 * 1_024;
/// What may wait between the API server and the agent: half a second of changes.
const WAITING: u64 = PER_SECOND as u64 / 2;
const RESTART: Duration = Duration::from_secs(10);

/// One cluster for all four: to fill it takes longer than each of them. All are measured before
/// anything is judged.
#[test]
fn the_cluster_to_plan_for_is_followed() {
    let mut population = Population::default();
    let begun = Instant::now();
    let options =
        Options { arguments: ["--scope", "all"].map(str::to_owned).into(), ..Options::default() };
    let mut cluster = Cluster::prepared(options, |api, lab| {
        population.put(api)?;
        println!("scale: the API server has {SERVICES} Services after {:?}", begun.elapsed());
        // Every pod answers: probes of all of them cost what they cost.
        let pods = lab.node("replicas");
        pods.netns().ip(&format!("route add local {PODS} dev lo"))?;
        let via = pods.ipv4();
        lab.node("client").netns().ip(&format!("route add {PODS} via {via}"))?;
        answer(pods.netns().run(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)))?);
        Ok(())
    })
    .expect("a cluster");
    let (cold, peak) = cold_sync(&cluster, &population);
    let kernel = Kernel::open(&maps(&cluster), &cluster.agent.dump());
    let mut rounds = (0..ROUNDS).map(|_| one_change_at_a_time(&cluster, &kernel, &mut population));
    let late = rounds.find(|late| *late <= ONE_CHANGE * slack());
    let storm = a_storm_of_changes(&cluster, &mut population);
    let (restart, peak_again) =
        restart_in_an_unchanged_world(&mut cluster, &kernel, &mut population);

    assert!(cold <= COLD * slack(), "cold sync took {cold:?}");
    assert!(peak.max(peak_again) <= PEAK, "{peak} KiB, after the restart {peak_again} KiB");
    assert!(late.is_some(), "p99 is above {:?} in {ROUNDS} rounds", ONE_CHANGE * slack());
    let Storm { took, due, waiting, growth, silence, answer } = storm;
    assert!(took < due * 2, "the API server needed {took:?} for the changes");
    assert!(silence <= SILENCE * slack(), "no heartbeat for {silence:?}");
    assert!(answer <= ANSWER * slack(), "an operator waited {answer:?}");
    assert!(waiting <= WAITING * u64::from(slack()), "{waiting} changes waited");
    assert!(growth <= GROWTH, "{growth} KiB more");
    assert!(restart <= RESTART * slack(), "{restart:?}");
}

/// How long it took, and the most memory, in KiB.
fn cold_sync(cluster: &Cluster, population: &Population) -> (Duration, u64) {
    let used = |map: &str| {
        metric(&cluster.agent, &format!("redirector_map_entries_used{{map=\"{map}\"}}"))
    };
    wait_until(COLD * 6, "all Services", || used("services") == Some(SERVICES.into()));
    let (took, cpu) = (age(&cluster.agent), cpu(&cluster.agent));
    let memory = Memory::of(&cluster.agent);
    println!(
        "scale: cold sync of {SERVICES} Services and {ENDPOINTS} endpoints in {took:?}, {cpu:?} on \
         a processor; {} KiB at most, now {} KiB its own and {} KiB mapped",
        memory.peak, memory.own, memory.mapped
    );
    assert_eq!(used("backends"), Some(ENDPOINTS.into()));
    kernel::wait_for(cluster, &wanted(population), Duration::ZERO);
    (took, memory.peak)
}

/// How long 99 of 100 take at most.
fn one_change_at_a_time(
    cluster: &Cluster,
    kernel: &Kernel,
    population: &mut Population,
) -> Duration {
    let busy = cpu(&cluster.agent);
    let begun = Instant::now();
    let mut times = Vec::new();
    let mut words = kernel.words();
    for change in 0..CHANGES {
        let service = scattered(change) % SERVICES;
        let slice = population.replace(service, scattered(change + 1));
        let index = kernel.index(&full_name(service));
        cluster.api.put(slice).expect("a slice");
        let put = Instant::now();
        let seen = kernel.wait_for_another(index, words[index], Duration::from_secs(10));
        times.push(seen.saturating_duration_since(put));
        let after = kernel.words();
        let changed = (0..words.len()).filter(|at| words[*at] != after[*at]);
        assert_eq!(changed.collect::<Vec<_>>(), [index], "others were touched");
        words = after;
    }
    times.sort_unstable();
    let [middle, late] = [50, 99].map(|percent| times[times.len() * percent / 100]);
    println!(
        "scale: {CHANGES} single changes: {middle:?} from API server to kernel, p99 {late:?}, \
         longest {:?}; the agent took {:.0} % of a processor meanwhile",
        times[times.len() - 1],
        percent(cpu(&cluster.agent) - busy, begun.elapsed()),
    );
    late
}

/// What came of many changes.
struct Storm {
    took: Duration,
    /// How long it would have taken at [`PER_SECOND`].
    due: Duration,
    /// Changes between the API server and the agent, at most.
    waiting: u64,
    /// The agent's own memory in the end, compared with before, in KiB.
    growth: u64,
    /// The longest time without a heartbeat.
    silence: Duration,
    /// The longest time until an operator was answered.
    answer: Duration,
}

fn a_storm_of_changes(cluster: &Cluster, population: &mut Population) -> Storm {
    let heard = || {
        let name = "redirector_kube_events_total{kind=\"EndpointSlice\"}";
        metric(&cluster.agent, name).expect("events are counted")
    };
    let (before, busy) = (heard(), cpu(&cluster.agent));
    let begun = Instant::now();
    let (mut put, mut waiting) = (0, 0);
    let mut own = Vec::new();
    let mut next_look = Duration::from_secs(1);
    let planned = sized(STORM, STORM / 3).as_secs() as u32 * PER_SECOND;
    let mut all = planned;
    let (silence, answer) = (Longest::silence(cluster), Longest::answer(cluster));
    // Two explanations of every Service, and a copy of the state in which a zone is dead.
    let mut simulate = Command::new(&cluster.agent.options().binary);
    simulate.arg("simulate").arg("--run-dir").arg(cluster.agent.run_directory());
    let everything = thread::spawn(move || simulate.args(["--dead", "zone=a"]).output());
    let mut looks_beside_it = 0;
    while put < all {
        let due = (begun.elapsed().as_secs_f64() * f64::from(PER_SECOND)) as u32;
        // Who is late does not catch up for ever: looks are due as well.
        let until = due.min(all).min(put + PER_SECOND / 10);
        for number in put..until {
            let slice = population.replace((number * 7_919) % SERVICES, scattered(number));
            cluster.api.put(slice).expect("a slice");
        }
        put = until.max(put);
        if begun.elapsed() >= next_look {
            next_look += Duration::from_secs(1);
            // `put` is from before: what was heard cannot be more.
            waiting = waiting.max(u64::from(put).saturating_sub(heard() - before));
            own.push(Memory::of(&cluster.agent).own);
            if !everything.is_finished() {
                // It goes on for some looks more, without the copy.
                looks_beside_it = own.len();
                all = all.max(put + 4 * PER_SECOND).min(3 * planned);
            }
        }
        thread::sleep(Duration::from_millis(1));
    }
    let took = begun.elapsed();
    let (silence, answer) = (silence.so_far(), answer.so_far());
    let everything = everything.join().expect("it ends").expect("redirector simulate");
    assert!(everything.status.success(), "{}", String::from_utf8_lossy(&everything.stderr));
    let cpu = percent(cpu(&cluster.agent) - busy, took);
    wait_until(Duration::from_secs(10), "the last event", || heard() - before >= put.into());
    let heard_after = begun.elapsed() - took;
    kernel::wait_for(cluster, &wanted(population), Duration::from_secs(5));
    own.push(Memory::of(&cluster.agent).own);
    // The copy itself may be looked at once more while it goes.
    let (first, second) = own.split_at((own.len() / 2).max(looks_beside_it + 1).min(own.len() - 1));
    let most = |half: &[u64]| half.iter().copied().max().unwrap_or_default();
    let growth = most(second).saturating_sub(most(first));
    println!(
        "scale: {put} changes in {took:?}, {:.0} a second: the last one was heard {heard_after:?} after it, at \
         most {waiting} waited; the agent took {cpu:.0} % of a processor and {} KiB, {growth} KiB \
         more in the end; a simulation of all Services meanwhile, and the longest time without a \
         heartbeat was {silence:?}, that until an operator was answered {answer:?}",
        f64::from(put) / took.as_secs_f64(),
        most(&own)
    );
    let due = Duration::from_secs((put / PER_SECOND).into());
    Storm { took, due, waiting, growth, silence, answer }
}

/// How long it took, and the most memory, in KiB.
fn restart_in_an_unchanged_world(
    cluster: &mut Cluster,
    kernel: &Kernel,
    population: &mut Population,
) -> (Duration, u64) {
    let words = kernel.words();
    cluster.agent.restart().expect("the agent starts again");
    let ready = age(&cluster.agent);
    let last = full_name(SERVICES - 1);
    wait_until(RESTART * 6, "the agent's own word of the last Service", || {
        cluster.agent.ask("explain", &[&last]).expect("explain").status.success()
    });
    let took = age(&cluster.agent);
    let writes = metric(&cluster.agent, "redirector_map_writes_total");
    let memory = Memory::of(&cluster.agent);
    println!(
        "scale: restart in an unchanged world: ready after {ready:?}, in agreement after {took:?}, \
         {writes:?} map writes, {} KiB at most",
        memory.peak
    );
    assert_eq!(writes, Some(0));
    assert!(words == kernel.words(), "words have changed");
    // It does follow: that nothing was written is no silence.
    let index = kernel.index(&full_name(7));
    cluster.api.put(population.replace(7, 0)).expect("a slice");
    kernel.wait_for_another(index, words[index], Duration::from_secs(10));
    (took, memory.peak)
}

fn wanted(population: &Population) -> BTreeMap<String, BTreeSet<IpAddr>> {
    let all = 0..SERVICES;
    all.map(|service| (full_name(service), population.endpoints(service))).collect()
}

fn full_name(service: u32) -> String {
    format!("{NAMESPACE}/{}", name(service))
}

fn maps(cluster: &Cluster) -> std::path::PathBuf {
    redirector::datapath::Pins::new(&cluster.agent.options().pin_path).maps()
}

/// Takes every connection and ends it, until the test ends.
fn answer(listener: TcpListener) {
    thread::spawn(move || {
        for connection in listener.incoming() {
            // A prober that has gone already is no failure.
            let _: io::Result<_> = connection;
        }
    });
}

/// CI allows five times of what takes time: the machine is shared.
fn slack() -> u32 {
    if env::var_os("REDIRECTOR_BIN").is_some() { sized(1, 5) } else { 10 }
}

fn percent(part: Duration, whole: Duration) -> f64 {
    100.0 * part.as_secs_f64() / whole.as_secs_f64()
}

/// A metric by its whole name, labels included.
fn metric(agent: &Agent, name: &str) -> Option<u64> {
    agent.metrics().get(name).map(|value| *value as u64)
}

fn wait_until(longest: Duration, what: &str, is_so: impl FnMut() -> bool) {
    wait_within(longest, what, is_so, String::new);
}
