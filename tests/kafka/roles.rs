//! The roles as processes of their own on one log: command, query, and projectors, some of which publish.

use std::time::{Duration, Instant};

use data_encoding::BASE64;
use serde_json::Value;
use servers::postgres::Postgres;
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

use super::{
    process::{Api, Process, binary, eventually},
    topics_check::{Exported, check_topics},
};

/// What runs.
pub(crate) struct Roles {
    pub(crate) command: Process,
    pub(crate) query: Process,
    pub(crate) projectors: Vec<Process>,
    /// What the topics' names begin with.
    pub(crate) prefix: String,
    pub(crate) directory: TempDir,
    /// Options that every role takes: where the log is.
    log: Vec<String>,
    brokers: String,
    database: String,
}

/// Whoever has a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Holder {
    /// Which of the projectors.
    pub(crate) projector: usize,
    pub(crate) epoch: i64,
}

impl Roles {
    /// Starts command and query, on a log in their data directory.
    pub(crate) async fn start(postgres: &Postgres, brokers: &str) -> Self {
        Self::start_on(Vec::new(), tempfile::tempdir().unwrap(), postgres, brokers).await
    }

    /// Starts them on a log on a server.
    pub(crate) async fn start_on_server(url: &str, postgres: &Postgres, brokers: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        // Whoever writes such a log is given the master keys.
        let data = directory.path().join("data");
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join("master.key"), format!("first {}\n", BASE64.encode(&[7; 32]))).unwrap();
        Self::start_on(vec!["--event-store".to_owned(), url.to_owned()], directory, postgres, brokers).await
    }

    async fn start_on(log: Vec<String>, directory: TempDir, postgres: &Postgres, brokers: &str) -> Self {
        let database = postgres.database();
        let options: Vec<_> = log.iter().map(String::as_str).collect();
        let command = Process::start(directory.path(), &[&["command"], &*options].concat());
        command.wait_until_ready().await;
        let query = Process::start(directory.path(), &[&["query", "--views", &database], &*options].concat());
        let (prefix, brokers) = (format!("roles-{}", Uuid::new_v4()), brokers.to_owned());
        Self { command, query, projectors: Vec::new(), prefix, directory, log, brokers, database }
    }

    /// An export of the log, and a data directory with the log of that export.
    pub(crate) fn exported(&self) -> Exported {
        let data = self.directory.path().join("data").display().to_string();
        Exported::of(binary, &[&self.log[..], &["--data-dir".to_owned(), data]].concat(), self.directory.path())
    }

    /// What a consumer in another language makes of the topics: the same as the log and the API do.
    pub(crate) fn consumed(&self, exported: &Exported) -> Value {
        let Api { url, token, .. } = &self.query.api;
        check_topics(&self.brokers, &self.prefix, &exported.data, url, &[("acme", token.clone())].into())
    }

    /// Starts a projector that does not publish, and waits until it feeds the view.
    pub(crate) async fn add_feeder(&mut self) {
        self.add_projector(&[]);
        self.query.wait_until_ready().await;
    }

    /// Starts a projector that may publish.
    pub(crate) fn add_publisher(&mut self, options: &[&str]) {
        let (brokers, prefix) = (self.brokers.clone(), self.prefix.clone());
        let always = ["--kafka", &brokers, "--kafka-topic-prefix", &prefix];
        self.add_projector(&[&always, options].concat());
    }

    fn add_projector(&mut self, options: &[&str]) {
        let log: Vec<_> = self.log.iter().map(String::as_str).collect();
        let always = ["projector", "--views", &self.database];
        self.projectors.push(Process::start(self.directory.path(), &[&always, &*log, options].concat()));
    }

    /// A connection to the views' database.
    pub(crate) async fn connect(&self) -> Result<Client, tokio_postgres::Error> {
        let (client, connection) = tokio_postgres::connect(&self.database, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Who has a lease; none when nobody has, or the database is away.
    async fn holder(&self, lease: &str) -> Option<Holder> {
        let sql = "SELECT epoch, holder FROM leases WHERE name LIKE $1 AND expires_at > clock_timestamp()";
        let row = self.connect().await.ok()?.query_opt(sql, &[&lease]).await.ok()??;
        let process: u32 = row.get::<_, &str>(1).strip_prefix("process ")?.parse().unwrap();
        let projector = self.projectors.iter().position(|projector| projector.id() == process)?;
        Some(Holder { projector, epoch: row.get(0) })
    }

    /// Who has the lease to publish.
    pub(crate) async fn publisher(&self) -> Option<Holder> {
        self.holder(&format!("publisher {}", self.prefix)).await
    }

    /// Who has the lease to feed the view.
    pub(crate) async fn feeder(&self) -> Option<Holder> {
        self.holder("view integrations version %").await
    }

    /// Waits until somebody publishes whose turn came later than an epoch, and answers who.
    pub(crate) async fn publisher_after(&self, epoch: i64) -> Holder {
        let publishes = async || {
            let holder = self.publisher().await.filter(|holder| holder.epoch > epoch)?;
            self.projectors[holder.projector].api.metrics().await.is("kafka_publishing").then_some(holder)
        };
        eventually(async || publishes().await.is_some(), async || self.told().await).await;
        publishes().await.expect("it goes on publishing")
    }

    /// The last position of the log.
    pub(crate) async fn head(&self) -> u64 {
        self.command.wait_until_ready().await;
        self.command.api.metrics().await.value("log_position").unwrap()
    }

    /// Waits until what the log has up to a position is shown.
    pub(crate) async fn shown(&self, position: u64) {
        let is_shown = async || self.query.api.metrics().await.reached("projection_lag") >= Some(position);
        eventually(is_shown, async || self.told().await).await;
    }

    /// Waits until what the log has up to a position is published.
    pub(crate) async fn published(&self, position: u64) {
        let is_published = async || {
            for projector in &self.projectors {
                let metrics = projector.api.metrics().await;
                if metrics.is("kafka_publishing") && metrics.reached("kafka_lag") >= Some(position) {
                    return true;
                }
            }
            false
        };
        eventually(is_published, async || self.told().await).await;
    }

    /// Waits until what the log has by now is shown and published, and answers how long that took.
    pub(crate) async fn healed(&self) -> Duration {
        let started = Instant::now();
        let head = self.head().await;
        tokio::join!(self.shown(head), self.published(head));
        started.elapsed()
    }

    /// What each process has logged, and what it measures.
    async fn told(&self) -> String {
        let mut told = String::new();
        for process in self.projectors.iter().chain([&self.command, &self.query]) {
            let metrics = process.api.text("/metrics").await;
            told += &format!("{}:\n{}\n{metrics}\n", process.api.url, process.log());
        }
        told
    }
}
