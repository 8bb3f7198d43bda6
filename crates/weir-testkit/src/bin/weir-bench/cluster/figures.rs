//! Figures of clusters.

use super::{ClusterKind, ClusterLoad};
use crate::measure::{StreamFigures, median};

/// Figures of each run, in their order.
#[derive(Debug, Default)]
pub(super) struct ClusterFigures(Vec<ClusterRun>);

/// Figures of one run.
#[derive(Debug)]
struct ClusterRun {
    load: ClusterLoad,
    kind: ClusterKind,
    figures: StreamFigures,
}

/// Ratio of two kinds' CPU per delivery over the rounds of a load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct RatioSpread {
    pub(super) median: f64,
    pub(super) least: f64,
    pub(super) most: f64,
}

impl ClusterFigures {
    /// Adds a run.
    pub(super) fn add(&mut self, load: ClusterLoad, kind: ClusterKind, figures: StreamFigures) {
        self.0.push(ClusterRun {
            load,
            kind,
            figures,
        });
    }

    fn of(&self, load: ClusterLoad, kind: ClusterKind) -> impl Iterator<Item = &StreamFigures> {
        let runs = self.0.iter();
        let runs = runs.filter(move |run| (run.load, run.kind) == (load, kind));
        runs.map(|run| &run.figures)
    }

    /// Returns the median of a figure over the rounds.
    pub(super) fn median(
        &self,
        load: ClusterLoad,
        kind: ClusterKind,
        figure: impl Fn(&StreamFigures) -> f64,
    ) -> Option<f64> {
        median(&self.of(load, kind).map(figure).collect::<Vec<_>>())
    }

    /// Returns the ratio of two kinds' CPU per delivery.
    ///
    /// Each ratio is of one round, so that work elsewhere on the machine affects both sides.
    pub(super) fn ratio(
        &self,
        load: ClusterLoad,
        kind: ClusterKind,
        base: ClusterKind,
    ) -> Option<RatioSpread> {
        let pairs = self.of(load, kind).zip(self.of(load, base));
        let ratios: Vec<f64> = pairs
            .map(|(figures, base)| cpu(figures) / cpu(base))
            .collect();
        Some(RatioSpread {
            median: median(&ratios)?,
            least: ratios.iter().copied().fold(f64::INFINITY, f64::min),
            most: ratios.iter().copied().fold(0.0, f64::max),
        })
    }
}

/// Returns the CPU of nodes and Redis per delivered chunk in microseconds.
pub(super) fn cpu(figures: &StreamFigures) -> f64 {
    figures.per_delivery(figures.used.total())
}
