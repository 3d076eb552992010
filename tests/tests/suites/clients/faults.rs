//! What happens to a replica, while all clients dial.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{
    fixture::{self, Fixture, Listed},
    pod::Pod,
};

/// Nothing but discovery says of a UDP backend that it is dead. With a readiness probe each second kubelet
/// takes as long or longer.
const DISCOVERY: Duration = Duration::from_secs(2);
/// What a pod that is deleted is granted before it is killed, and its address gone.
const GRACE: Duration = Duration::from_secs(2);

/// So many at least of each client, by each family.
pub const FEWEST_DIALS: usize = 8;
/// Longer than that a client that hangs is not waited for.
const LONGEST_MORE: Duration = Duration::from_secs(20);
/// The replica that is drained, and later replaced.
const FIRST: u8 = 1;

/// In the order in which they happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// An operator drains it, and it goes on serving.
    Drained,
    /// Discovery lists another one in its place; later it is killed, and its address gone.
    Replaced,
    /// Its servers are killed. Later discovery no longer lists it for UDP.
    Killed,
    /// It drops what it gets. Later discovery no longer lists it for UDP.
    BlackHole,
}

/// When it happened.
#[derive(Debug)]
pub struct Window {
    pub fault: Fault,
    pub begin: Instant,
    pub at: Instant,
    /// From here on discovery no longer lists the replica, or the drain is in force.
    pub settled: Instant,
    pub end: Instant,
}

impl Fault {
    pub const ALL: [Self; 4] = [Self::Drained, Self::Replaced, Self::Killed, Self::BlackHole];

    /// Whether a dial may go to that replica once the fault is settled.
    pub fn may_lead_to(self, replica: u8) -> bool {
        !matches!(self, Self::Drained | Self::Replaced) || replica != FIRST
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Drained => "drained",
            Self::Replaced => "replaced",
            Self::Killed => "killed",
            Self::BlackHole => "black hole",
        }
    }
}

/// So long before it, and so long afterwards; longer on a machine that is too busy for enough dials.
pub fn happen(
    fault: Fault,
    fixture: &mut Fixture<'_>,
    pods: &[Pod<'_>],
    before: Duration,
    after: Duration,
) -> Window {
    let begin = Instant::now();
    let made: Vec<_> = pods.iter().map(Pod::made).collect();
    thread::sleep(before);
    let at = Instant::now();
    let settled = match fault {
        Fault::Drained => {
            fixture.agent.answer("drain", &["node=r1"]);
            Instant::now()
        }
        Fault::Replaced => {
            let serving = vec![2, 3, 4];
            fixture.list(Listed { tcp: serving.clone(), udp: serving });
            let settled = Instant::now();
            thread::sleep(GRACE);
            fixture.replica(FIRST).kill();
            fixture::node(&fixture.site.lab, FIRST)
                .drop_packets()
                .expect("an address that is gone");
            settled
        }
        Fault::Killed => {
            fixture.replica(2).kill();
            no_longer_listed(fixture, at, vec![3, 4])
        }
        Fault::BlackHole => {
            fixture::node(&fixture.site.lab, 3).drop_packets().expect("a black hole");
            no_longer_listed(fixture, at, vec![4])
        }
    };
    thread::sleep(after.saturating_sub(at.elapsed()));
    let has_enough = |(pod, made): (&Pod<'_>, &usize)| pod.made() >= made + FEWEST_DIALS;
    while !pods.iter().zip(&made).all(has_enough) && at.elapsed() < after + LONGEST_MORE {
        thread::sleep(Duration::from_millis(50));
    }
    let end = Instant::now();
    println!(
        "{}: in force or listed after {:.1?}, watched for {:.1?}",
        fault.name(),
        settled - at,
        end - begin
    );
    if fault == Fault::Drained {
        fixture.agent.answer("undrain", &["node=r1"]);
    }
    Window { fault, begin, at, settled, end }
}

/// For TCP it goes on being listed: kernel and probes are to find out.
fn no_longer_listed(fixture: &mut Fixture<'_>, at: Instant, udp: Vec<u8>) -> Instant {
    thread::sleep(DISCOVERY.saturating_sub(at.elapsed()));
    let tcp = fixture.listed.tcp.clone();
    fixture.list(Listed { tcp, udp });
    Instant::now()
}
