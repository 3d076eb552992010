//! What README.md allows a client to lose, by its own sentences.

use std::{fs, path::Path, time::Duration};

use super::{
    dials::Dial,
    faults::{Fault, Window},
    kinds::Client,
};

/// Two probes of a replica that has answered before have failed by then, also on a busy machine.
const EJECTED: Duration = Duration::from_secs(10);

/// A socket that has ended says so at once; one that goes on with a replica that is gone waits for longer.
const AT_ONCE: Duration = Duration::from_millis(900);

/// A sentence of README.md, and which lost dials it covers.
struct Limit {
    sentence: &'static str,
    /// Of a pod's dials, by one fault.
    most: fn(&Client) -> usize,
    covers: fn(&Client, &Window, &Dial) -> bool,
}

const LIMITS: [Limit; 5] = [
    Limit {
        sentence: "Requests on an established connection are not moved, retried or inspected",
        most: |client| client.connections.max(1),
        covers: |client, window, dial| {
            let is_under_way = dial.begin <= window.at && window.at <= dial.end;
            let is_established = client.connections > 0 && client.dials_soon(window, dial);
            window.is_sudden() && (is_under_way || is_established)
        },
    },
    Limit {
        sentence: "what is sent to the replica until discovery no longer lists it",
        most: |_| usize::MAX,
        covers: |client, window, dial| {
            let uses = client.dials.iter().any(|service| !service.is_tcp);
            uses && window.is_sudden() && window.at <= dial.end && dial.begin <= window.settled
        },
    },
    Limit {
        sentence: "A connected UDP socket whose backend is gone from its service while another one \
                   serves ends: its next use fails",
        most: |client| client.sockets,
        covers: |client, window, dial| {
            let uses = client.dials.iter().any(|service| !service.is_tcp);
            let is_late = window.at <= dial.end && dial.end - dial.begin < AT_ONCE;
            uses && window.fault != Fault::Drained && is_late
        },
    },
    Limit {
        sentence: "of each client up to 3 connects that are refused",
        most: |_| 3,
        covers: |client, window, dial| {
            window.fault == Fault::Killed && client.dials_soon(window, dial)
        },
    },
    Limit {
        sentence: "or 5 that are not answered, each for `connectTimeout`",
        most: |_| 5,
        covers: |client, window, dial| {
            window.fault == Fault::BlackHole && client.dials_soon(window, dial)
        },
    },
];

impl Window {
    /// Nothing says so beforehand.
    fn is_sudden(&self) -> bool {
        matches!(self.fault, Fault::Killed | Fault::BlackHole)
    }
}

impl Client {
    /// By TCP, while it may not yet be known.
    fn dials_soon(&self, window: &Window, dial: &Dial) -> bool {
        let uses = self.dials.iter().any(|service| service.is_tcp);
        uses && window.at <= dial.end && dial.begin <= window.at + EJECTED
    }
}

/// Those of the lost dials of a pod that no sentence covers.
pub fn unexplained<'a>(client: &Client, window: &Window, lost: &[&'a Dial]) -> Vec<&'a Dial> {
    let mut left = LIMITS.each_ref().map(|limit| (limit.most)(client));
    let is_covered = |dial: &Dial| {
        let found = LIMITS
            .iter()
            .zip(&mut left)
            .find(|(limit, left)| **left > 0 && (limit.covers)(client, window, dial));
        found.map(|(_, left)| *left -= 1).is_some()
    };
    let mut is_covered = is_covered;
    lost.iter().filter(|dial| !is_covered(dial)).copied().collect()
}

/// README.md says so indeed.
#[test]
fn limits_are_sentences_of_the_readme() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let text = fs::read_to_string(path).expect("README.md");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for limit in &LIMITS {
        assert!(text.contains(limit.sentence), "{}", limit.sentence);
    }
}
