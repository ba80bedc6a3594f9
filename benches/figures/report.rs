//! What the benchmarks print: a spread for each figure, a bar with "met" or "not met", the machine.

use std::fmt;

use crate::Effort;

/// Several readings of one thing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// The median of readings, at least one, with the least and the most.
    pub(crate) fn of(readings: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = readings.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median =
            if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) };
        Self { median, min: sorted[0], max: sorted[sorted.len() - 1] }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = f.precision().unwrap_or(2);
        write!(f, "{:.places$} ({:.places$} to {:.places$})", self.median, self.min, self.max)
    }
}

/// What is asked of a figure.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bar {
    AtMost(f64),
    AtLeast(f64),
}

impl Bar {
    /// The bar, and whether a value meets it.
    pub(crate) fn judge(self, value: f64) -> String {
        let (words, limit, is_met) = match self {
            Self::AtMost(limit) => ("at most", limit, value <= limit),
            Self::AtLeast(limit) => ("at least", limit, value >= limit),
        };
        format!("bar: {words} {limit}, {}", if is_met { "met" } else { "not met" })
    }
}

/// Prints a figure with its bar, which its median is held to.
pub(crate) fn figure(what: &str, unit: &str, spread: Spread, bar: Bar) {
    println!("{what}: {spread}{unit}; {}", bar.judge(spread.median));
}

/// Prints what the figures were measured on.
pub(crate) fn machine(effort: Effort) {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |name: &str| text.lines().find(|line| line.starts_with(name)).and_then(|line| line.split_once(": "));
    let model = value("model name").map_or("an unnamed processor", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    println!("{model}, {cores} cores; {:?}, {} pairs or rounds a figure", effort, effort.pairs());
    println!("CPU is the server's alone, from /proc/PID/task/*/schedstat; a spread is median (minimum to maximum)");
}
