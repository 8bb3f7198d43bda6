//! Figures of loads that stream.

use std::time::Duration;

use super::cpu::CpuUse;

/// Figures of the measured time of a load that streams.
#[derive(Debug, Default)]
pub(crate) struct StreamFigures {
    /// CPU time of the servers.
    pub(crate) used: CpuUse,
    /// Chunks that subscribers received.
    pub(crate) deliveries: u64,
    /// Latency of each delivery in microseconds.
    pub(crate) latencies: Vec<u32>,
}

impl StreamFigures {
    /// Adds another run of the load.
    pub(crate) fn add(&mut self, other: Self) {
        self.used.nodes += other.used.nodes;
        self.used.redis += other.used.redis;
        self.deliveries += other.deliveries;
        self.latencies.extend(other.latencies);
    }

    /// Returns a part of the CPU time per delivered chunk in microseconds.
    pub(crate) fn per_delivery(&self, part: Duration) -> f64 {
        part.as_secs_f64() * 1e6 / self.deliveries.max(1) as f64
    }

    /// Returns the 50th, 95th and 99th percentile of the latency in milliseconds.
    pub(crate) fn percentiles(&self) -> [f64; 3] {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        [50, 95, 99].map(|percent| {
            let rank = (sorted.len() * percent).div_ceil(100);
            f64::from(sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)) / 1e3
        })
    }
}

/// Returns the median of some values; `None` if there are none.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    Some(match sorted.len() % 2 {
        0 => f64::midpoint(sorted[middle - 1], upper),
        _ => upper,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let latencies = (1..=200).rev().map(|number| number * 1_000).collect();
        let figures = StreamFigures {
            latencies,
            ..StreamFigures::default()
        };
        assert_eq!(figures.percentiles(), [100.0, 190.0, 198.0]);
        assert_eq!(StreamFigures::default().percentiles(), [0.0; 3]);
    }

    #[test]
    fn median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }
}
