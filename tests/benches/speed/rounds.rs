//! Lets contenders alternate, and compares them round by round.
//!
//! The machine is shared: what disturbs one round disturbs all contenders of that round, so a
//! ratio is taken within each round and the median of these is reported.

use anyhow::Result;

/// One value per round.
#[derive(Debug, Clone, Default)]
pub struct Series(Vec<f64>);

/// The median of the ratios, and the bounds that hold the true median with 95 % confidence.
#[derive(Debug, Clone, Copy)]
pub struct Ratio {
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

/// Measures every contender in every round, each time beginning with another one.
pub fn interleave<C>(
    contenders: &mut [C],
    rounds: usize,
    mut measure: impl FnMut(&mut C) -> Result<f64>,
) -> Result<Vec<Series>> {
    let mut series = vec![Series::default(); contenders.len()];
    for round in 0..rounds {
        for place in 0..contenders.len() {
            let who = (place + round) % contenders.len();
            series[who].0.push(measure(&mut contenders[who])?);
        }
    }
    Ok(series)
}

impl Series {
    pub fn median(&self) -> f64 {
        median_of(self.0.clone()).median
    }

    /// This one to `base`, round by round.
    pub fn to(&self, base: &Self) -> Ratio {
        median_of(self.0.iter().zip(&base.0).map(|(one, other)| one / other).collect())
    }
}

/// The bounds come from the order statistics (binomial, normal approximation): no assumption about
/// how the noise is distributed.
fn median_of(mut values: Vec<f64>) -> Ratio {
    values.sort_by(f64::total_cmp);
    let count = values.len();
    let at = |place: f64| {
        let place = place.clamp(0.0, count.saturating_sub(1) as f64);
        values.get(place as usize).copied().unwrap_or(f64::NAN)
    };
    let middle = (count as f64 - 1.0) / 2.0;
    let reach = 0.98 * (count as f64).sqrt();
    Ratio {
        median: (at(middle.floor()) + at(middle.ceil())) / 2.0,
        low: at((middle - reach).floor()),
        high: at((middle + reach).ceil()),
    }
}
