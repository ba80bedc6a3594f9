//! Everything in one process, on an embedded log.

use std::{path::Path, sync::Arc};

use super::{
    log::{self, Row},
    service::{Process, Service},
};

/// Whether one process answers everything: what each counts by itself is then what there is.
pub(crate) const IS_ONE_PROCESS: bool = true;
/// Whether the log is embedded: an append of several writes does all or none there, and positions have no gaps.
pub(crate) const IS_EMBEDDED: bool = true;

/// The service of a test: it is started in no time, so that each has its own.
pub(crate) async fn service() -> Arc<Service> {
    Arc::new(Service::start(&[]).await)
}

/// What runs.
pub(crate) struct Topology {
    service: Process,
}

impl Topology {
    /// Starts the service.
    pub(crate) fn start(data_dir: &Path, options: &[String]) -> Self {
        let options: Vec<_> = options.iter().map(String::as_str).collect();
        Self { service: Process::start(&[&["serve"][..], &options].concat(), data_dir) }
    }

    /// Where it is reached.
    pub(crate) fn url(&self) -> String {
        self.service.url()
    }

    /// The one that answers reads.
    pub(crate) fn querying(&self) -> [&Process; 1] {
        [&self.service]
    }

    /// The one that takes commands.
    pub(crate) fn commanding(&self) -> [&Process; 1] {
        [&self.service]
    }

    /// Whether some bytes are in a file of the service.
    pub(crate) fn holds(&self, data_dir: &Path, bytes: &[u8]) -> bool {
        log::is_in_a_file(data_dir, bytes)
    }

    /// Every row of the log, in the order of positions.
    pub(crate) fn rows(&self, data_dir: &Path) -> Vec<Row> {
        log::rows(data_dir)
    }

    /// Everything that must be ready.
    pub(crate) fn processes(&mut self) -> Vec<&mut Process> {
        vec![&mut self.service]
    }
}
