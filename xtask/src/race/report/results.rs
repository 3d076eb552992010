//! The figures of all runs, and their medians.

use std::collections::BTreeMap;

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

    /// Attempts that failed before anything had happened, of all runs.
    pub(super) fn failed_before(&self) -> BTreeMap<Contender, u32> {
        let mut all = BTreeMap::new();
        for ((_, contender), runs) in &self.figures {
            let before = runs.iter().map(|figures| figures.before).sum::<u32>();
            *all.entry(*contender).or_default() += before;
        }
        all.retain(|_, before| *before > 0);
        all
    }
}
