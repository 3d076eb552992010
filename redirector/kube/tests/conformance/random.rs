//! Random numbers that replay: every failure names a number, `REDIRECTOR_SEED` runs it alone.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Marsaglia's xorshift64*.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        // Neighbouring seeds must not begin alike; 0 would stay 0.
        let mut random = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0xd1b5_4a32_d192_ed03 | 1);
        random.below(1);
        random
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        ((drawn * bound as u64) >> 32) as usize
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn pick<'t>(&mut self, of: &[&'t str]) -> &'t str {
        of[self.below(of.len())]
    }

    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for end in (1..list.len()).rev() {
            list.swap(end, self.below(end + 1));
        }
    }
}

/// Runs `test` for as many seeds; the first that fails is named.
#[expect(clippy::print_stderr, reason = "how to replay a failure")]
pub fn for_seeds(count: u64, test: impl Fn(u64)) {
    if let Ok(seed) = std::env::var("REDIRECTOR_SEED") {
        return test(seed.parse().expect("REDIRECTOR_SEED is a number"));
    }
    for seed in 0..count {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| test(seed))) {
            eprintln!("seed {seed} failed: replay it with REDIRECTOR_SEED={seed}");
            resume_unwind(panic);
        }
    }
}
