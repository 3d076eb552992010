//! The figures of all runs, and their medians.

use std::{collections::BTreeMap, time::Duration};

use crate::race::{
    contender::Contender,
    course::Measure,
    fault::Fault,
    install::Absent,
    speed::Speed,
    stalls::Stalls,
    tally::{Figures, median},
};

/// The figures of all runs.
#[derive(Debug)]
pub(in crate::race) struct Results {
    pub(in crate::race) measure: Measure,
    pub(in crate::race) runs: u32,
    /// In the order of the tables' rows.
    pub(in crate::race) contenders: Vec<Contender>,
    pub(in crate::race) absent: Vec<Absent>,
    /// In the order of the tables' columns.
    pub(in crate::race) faults: Vec<Fault>,
    /// One of each run.
    pub(in crate::race) figures: BTreeMap<(Fault, Contender), Vec<Figures>>,
    /// One of each run.
    pub(in crate::race) speeds: BTreeMap<Contender, Vec<Speed>>,
    pub(in crate::race) stalls: Stalls,
    /// The longest time that a fault took until it had happened to all that it happened to.
    pub(in crate::race) longest_fault: Duration,
    /// What went wrong with a contender besides, for example an error in an agent's log.
    pub(in crate::race) complaints: Vec<String>,
}

impl Results {
    /// The median over the runs that have such a figure.
    pub(super) fn median(
        &self,
        fault: Fault,
        contender: Contender,
        figure: impl Fn(&Figures) -> Option<f64>,
    ) -> Option<f64> {
        let runs = self.figures.get(&(fault, contender))?;
        median(&runs.iter().filter_map(figure).collect::<Vec<_>>())
    }

    /// The median over all faults and runs that have such a figure.
    pub(super) fn median_of_all(
        &self,
        contender: Contender,
        figure: impl Fn(&Figures) -> Option<f64>,
    ) -> Option<f64> {
        let own = self.figures.iter().filter(|((_, of), _)| *of == contender);
        median(&own.flat_map(|(_, runs)| runs).filter_map(figure).collect::<Vec<_>>())
    }

    /// The median over the runs of a figure, and of its ratio to that of `direct` in the same run.
    pub(super) fn speed(
        &self,
        contender: Contender,
        figure: impl Fn(&Speed) -> f64,
    ) -> Option<(f64, Option<f64>)> {
        let own = self.speeds.get(&contender)?;
        let figures: Vec<_> = own.iter().map(&figure).collect();
        let direct = self.speeds.get(&Contender::Direct);
        let ratios = direct.map(|direct| {
            let pairs = figures.iter().zip(direct);
            pairs.map(|(own, direct)| own / figure(direct)).collect::<Vec<_>>()
        });
        Some((median(&figures)?, ratios.and_then(|ratios| median(&ratios))))
    }

    /// Faults whose attempts the tables compare.
    pub(super) fn of_replicas(&self) -> impl Iterator<Item = Fault> {
        self.faults.iter().copied().filter(|fault| fault.is_of_replicas())
    }

    /// The sum over all faults and runs, of those that have one.
    pub(super) fn sums(&self, of: impl Fn(&Figures) -> u32) -> BTreeMap<Contender, u32> {
        let mut all = BTreeMap::new();
        for ((_, contender), runs) in &self.figures {
            *all.entry(*contender).or_default() += runs.iter().map(&of).sum::<u32>();
        }
        all.retain(|_, sum| *sum > 0);
        all
    }
}

#[cfg(test)]
pub(super) mod example {
    //! Results of one fault and one contender.

    use super::*;
    use crate::race::tally::Failed;

    pub(in crate::race::report) fn figures() -> Figures {
        Figures {
            attempts: 3000,
            planned: 3000,
            before: 0,
            failed: Failed::default(),
            serial: Failed::default(),
            second: None,
            back: None,
            ended: None,
            own_cpu: None,
        }
    }

    pub(in crate::race::report) fn results(
        fault: Fault,
        contender: Contender,
        runs: Vec<Figures>,
    ) -> Results {
        let lasts = Duration::from_secs(30);
        Results {
            measure: Measure { rate: 100, lasts, returns: lasts },
            runs: u32::try_from(runs.len()).expect("few runs"),
            contenders: vec![contender],
            absent: Vec::new(),
            faults: vec![fault],
            figures: BTreeMap::from([((fault, contender), runs)]),
            speeds: BTreeMap::new(),
            stalls: Stalls::default(),
            longest_fault: Duration::ZERO,
            complaints: Vec::new(),
        }
    }
}
