//! What a process measures of itself, as it tells it in OpenMetrics.

/// All of it, at one moment; empty while the process is not there.
pub(crate) struct Metrics(pub(crate) String);

impl Metrics {
    /// A whole number, by its name behind `integrations_`, with its labels if it has some.
    pub(crate) fn value(&self, name: &str) -> Option<u64> {
        let of_name =
            |line: &str| line.strip_prefix("integrations_")?.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
        self.0.lines().find_map(of_name)
    }
}
