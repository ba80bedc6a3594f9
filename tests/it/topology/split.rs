//! A process for each role: the command role on an embedded log, which the others follow; views in PostgreSQL; a proxy in
//! front; Kafka where the options name it.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use servers::{haproxy::Haproxy, postgres::Postgres};

use super::{
    log::{self, Row},
    options::{self, DATABASE, KAFKA, TOPICS, named, without},
    service::{Process, Service},
    whole,
};

static POSTGRES: LazyLock<Postgres> = LazyLock::new(Postgres::start);

/// Whether one process answers everything: what each counts by itself is then what there is.
pub(crate) const IS_ONE_PROCESS: bool = false;
/// Whether the log is embedded: an append of several writes does all or none there, and positions have no gaps.
pub(crate) const IS_EMBEDDED: bool = true;

/// The service that tests share.
pub(crate) async fn service() -> Arc<Service> {
    whole::service(None).await
}

/// What runs.
pub(crate) struct Topology {
    pub(crate) command: Process,
    /// Of which one works and the others stand by.
    pub(crate) projectors: Vec<Process>,
    pub(crate) query: Process,
    proxy: Haproxy,
    data_dir: PathBuf,
    database: String,
    /// The options of projectors: where the feed goes, and where spans are collected.
    projecting: Vec<String>,
}

impl Topology {
    /// Starts every role.
    pub(crate) fn start(data_dir: &Path, options: &[String]) -> Self {
        let database = options::database(data_dir, options, &POSTGRES);
        let mut projecting = feed(options);
        // The proxy tells the client's address.
        let options = [&without(options, &[KAFKA, TOPICS, DATABASE])[..], &["--trusted-proxy", "127.0.0.1"]].concat();
        let command = Process::start(&[&["command"][..], &options].concat(), data_dir);
        let query = Process::start(&[&["query", "--views", &database][..], &options].concat(), data_dir);
        let proxy = Haproxy::start([command.address; 2], [query.address; 2]);
        projecting.extend(given_otlp(&options));
        let (projectors, data_dir) = (Vec::new(), data_dir.to_owned());
        let mut topology = Self { command, projectors, query, proxy, data_dir, database, projecting };
        topology.add_projector();
        topology
    }

    /// Starts one more projector.
    pub(crate) fn add_projector(&mut self) {
        let views = ["projector", "--views", &self.database];
        let options: Vec<_> = views.into_iter().chain(self.projecting.iter().map(String::as_str)).collect();
        let projector = Process::start(&options, &self.data_dir);
        self.projectors.push(projector);
    }

    /// Where the views are.
    pub(crate) fn database(&self) -> &str {
        &self.database
    }

    /// Where they are reached.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.proxy.address)
    }

    /// Whether some bytes are in a file of the service.
    pub(crate) fn holds(&self, data_dir: &Path, bytes: &[u8]) -> bool {
        log::is_in_a_file(data_dir, bytes)
    }

    /// Every row of the log, in the order of positions.
    pub(crate) fn rows(&self, data_dir: &Path) -> Vec<Row> {
        log::rows(data_dir)
    }

    /// The one that answers reads.
    pub(crate) fn querying(&self) -> [&Process; 1] {
        [&self.query]
    }

    /// Those that make views and publish.
    pub(crate) fn projecting(&self) -> &[Process] {
        &self.projectors
    }

    /// The options of a verb that reads the log.
    pub(crate) fn log_options(&self, data_dir: &Path) -> Vec<String> {
        vec!["--data-dir".to_owned(), data_dir.display().to_string()]
    }

    /// The one that takes commands.
    pub(crate) fn commanding(&self) -> [&Process; 1] {
        [&self.command]
    }

    /// The processes of it.
    pub(crate) fn process_ids(&self) -> Vec<u32> {
        let roles = [&self.command, &self.query].into_iter().chain(&self.projectors);
        roles.map(|process| process.child.id()).chain([self.proxy.process_id()]).collect()
    }

    /// Everything that must be ready.
    pub(crate) fn processes(&mut self) -> Vec<&mut Process> {
        [&mut self.command, &mut self.query].into_iter().chain(&mut self.projectors).collect()
    }
}

/// The options of the feed.
fn feed(options: &[String]) -> Vec<String> {
    let brokers = named(options, KAFKA).map(|brokers| format!("--kafka={brokers}"));
    let topics = named(options, TOPICS).map(|prefix| format!("--kafka-topic-prefix={prefix}"));
    brokers.into_iter().chain(topics).collect()
}

/// Of the options those that say where spans are collected.
fn given_otlp(options: &[&str]) -> Vec<String> {
    let given = options.iter().skip_while(|option| **option != "--otlp").take(2);
    given.map(|option| (*option).to_owned()).collect()
}
