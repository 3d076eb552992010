//! How long to wait after an error.

use std::time::Duration;

use rand::Rng;

/// A wait that doubles with every error and begins anew after a success.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    pub(super) fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first }
    }

    /// Something went well.
    pub(super) fn reset(&mut self) {
        self.next = self.first;
    }

    /// Between half of what is due and all of it; at least what the server asks for, up to the
    /// longest, and then a part of the first wait more, so that agents do not return together.
    pub(super) fn wait(&mut self, asked: Option<Duration>, rng: &mut impl Rng) -> Duration {
        let due = self.next;
        self.next = (due * 2).min(self.longest);
        let own = due.mul_f64(rng.random_range(0.5..=1.0));
        let Some(asked) = asked else { return own };
        own.max(asked.min(self.longest) + self.first.mul_f64(rng.random_range(0.0..=1.0)))
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn waits_double_to_the_longest_and_begin_anew() {
        let (first, longest) = (Duration::from_millis(500), Duration::from_secs(30));
        let mut backoff = Backoff::new(first, longest);
        let mut rng = StdRng::seed_from_u64(1);
        let mut due = first;
        for _ in 0..12 {
            let wait = backoff.wait(None, &mut rng);
            assert!(due / 2 <= wait && wait <= due, "{wait:?} of {due:?}");
            due = (due * 2).min(longest);
        }
        backoff.reset();
        assert!(backoff.wait(None, &mut rng) <= first);
    }

    #[test]
    fn the_server_is_obeyed_up_to_the_longest() {
        let longest = Duration::from_secs(30);
        let mut backoff = Backoff::new(Duration::from_millis(500), longest);
        let mut rng = StdRng::seed_from_u64(2);
        let wait = backoff.wait(Some(Duration::from_secs(7)), &mut rng);
        assert!(wait >= Duration::from_secs(7), "{wait:?}");
        let wait = backoff.wait(Some(Duration::from_secs(3600)), &mut rng);
        assert!(wait >= longest && wait <= longest + Duration::from_millis(500), "{wait:?}");
    }
}
