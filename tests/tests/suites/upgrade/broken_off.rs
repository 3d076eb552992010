//! The version that takes over dies while it does so, again and again.

use std::{path::PathBuf, thread, time::Duration};

use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};

use super::{
    fixture::{Fixture, Form},
    traffic::Traffic,
};

const TIMES: u32 = 16;
/// From the first system call to the end of the wait for answers, and beyond.
const LONGEST_LIFE: Duration = Duration::from_millis(1_800);

pub(crate) fn broken_off([earlier, now]: [PathBuf; 2]) {
    let seed = rand::rng().random();
    println!("seed {seed:#x}");
    let mut random = SmallRng::seed_from_u64(seed);
    let mut site = Fixture::new(Form::Host, &earlier);
    let traffic = Traffic::start(&site);
    for time in 0..TIMES {
        // From the earlier version, or once more from where the last one died.
        if time % 3 == 0 {
            site.agent.kill9();
            site.set_binary(&earlier);
            site.agent.spawn_again().expect("an agent");
            site.agent.wait_until_ready().expect("it is ready");
        }
        site.agent.kill9();
        site.set_binary(&now);
        site.agent.spawn_again().expect("an agent");
        // Most of what can be interrupted is at the beginning.
        let life = random.random_range(0.0..1.0_f64).powi(2);
        thread::sleep(LONGEST_LIFE.mul_f64(life));
    }
    site.agent.restart().expect("the last one is ready");
    let dialled = traffic.stop().into_iter().flat_map(|dials| dials.all);
    let (good, failed): (Vec<_>, Vec<_>) = dialled.partition(|one| one.outcome.is_ok());
    println!("{} dials, {} failed", good.len() + failed.len(), failed.len());
    assert!(failed.is_empty(), "{} dials failed: {failed:?}", failed.len());
    assert_eq!(site.pinned("links").len(), 10, "{:?}", site.pinned("links"));
    assert_eq!(site.pinned("v3").len(), 10, "{:?}", site.pinned("v3"));
}
