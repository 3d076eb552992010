//! Which of a run's calls it is ended before.

use redirector_tests::size::sized;

/// One in so many, at CI size, of calls between two of which nothing differs: programs that nothing leads
/// to yet are put into arrays, and what is made for its owner alone is restricted to its owner.
const REPEATED: usize = 12;

/// By number from 1, all of them but those.
pub(crate) fn of(calls: &[String]) -> Vec<usize> {
    let mut repeated = 0;
    let is_point = |(_, call): &(usize, &String)| {
        let is_repeated = call.starts_with("map update") || call.starts_with("chmod");
        repeated += usize::from(is_repeated);
        !is_repeated || repeated % sized(1, REPEATED) == 0
    };
    (1..).zip(calls).filter(is_point).map(|(number, _)| number).collect()
}
