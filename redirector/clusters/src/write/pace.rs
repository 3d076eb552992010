//! How fast endpoints are added: every agent reads each slice that is written.

use std::time::Duration;

use redirector_core::Moment;

/// Writes of 4 kB that all nodes together read in a second: 100 MB.
const READS: f64 = 25_000.0;
/// Most writes a second, however few nodes there are.
const MOST: f64 = 50.0;
/// So many may follow each other at once after a rest.
const BURST: f64 = 50.0;

/// A bucket of tokens, one for each paced write.
#[derive(Debug)]
pub(super) struct Bucket {
    per_second: f64,
    tokens: f64,
    at: Moment,
}

impl Bucket {
    pub(super) fn new(nodes: usize) -> Self {
        Self { per_second: rate(nodes), tokens: BURST, at: Moment::default() }
    }

    /// There are so many nodes now.
    pub(super) fn set_nodes(&mut self, nodes: usize) {
        self.per_second = rate(nodes);
    }

    /// Takes a token.
    ///
    /// Errors: when there is one.
    pub(super) fn take(&mut self, now: Moment) -> Result<(), Moment> {
        let since = now.0.saturating_sub(self.at.0).as_secs_f64();
        self.tokens = (self.tokens + since * self.per_second).min(BURST);
        self.at = self.at.max(now);
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        let wait = Duration::from_secs_f64((1.0 - self.tokens) / self.per_second);
        Err(Moment(now.0 + wait + Duration::from_millis(1)))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a number of nodes")]
fn rate(nodes: usize) -> f64 {
    (READS / nodes.max(1) as f64).min(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_thousand_nodes_read_five_slices_a_second_and_few_nodes_fifty() {
        for (nodes, per_second) in [(0, 50), (500, 50), (5_000, 5)] {
            let mut bucket = Bucket::new(nodes);
            let mut now = Moment::default();
            let mut taken = 0;
            while now.0 < Duration::from_secs(100) {
                match bucket.take(now) {
                    Ok(()) => taken += 1,
                    Err(at) => now = at,
                }
            }
            let expected = 100 * per_second + 50;
            assert!((expected - 10..=expected).contains(&taken), "{taken} at {nodes} nodes");
        }
    }
}
