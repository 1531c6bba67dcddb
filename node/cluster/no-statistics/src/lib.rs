//! Histograms that keep nothing, for openraft: it records into them always, but they can be read only with its feature
//! `runtime-stats`, which we leave off. The crate of this name on the registry makes 25 MB of tables at the first use,
//! more than all the rest of an idle agent. Has only what openraft names; `[patch.crates-io]` puts it in place.

use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram<T = ()>(std::marker::PhantomData<T>);

impl<T> Default for Histogram<T> {
    fn default() -> Self {
        Self(std::marker::PhantomData)
    }
}

impl<T> Histogram<T> {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn record(&mut self, _value: u64) {}

    pub fn record_n(&mut self, _value: u64, _times: u64) {}

    pub fn percentile_stats(&self) -> PercentileStats {
        PercentileStats::default()
    }
}

/// All zero: no samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PercentileStats {
    pub samples: u64,
    pub p0_1: u64,
    pub p1: u64,
    pub p5: u64,
    pub p10: u64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p99_9: u64,
}

impl fmt::Display for PercentileStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not recorded")
    }
}

/// Draws nothing.
#[derive(Debug, Clone, Default)]
pub struct AsciiChart;

impl AsciiChart {
    pub fn new() -> Self {
        Self
    }

    #[must_use]
    pub fn add<T>(self, _name: &str, _histogram: Histogram<T>) -> Self {
        self
    }

    pub fn detailed(&self) -> &'static str {
        ""
    }
}
