//! The log for a process that follows another's writing: read-only, and never in its way.
//!
//! SQLite shows a commit to other processes once it is synced, so that what is seen here is durable. That there was one
//! tells `PRAGMA data_version`, which looks at shared memory only.

use std::{
    path::Path,
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread,
    time::Duration,
};

use async_trait::async_trait;
use rusqlite::Connection;
use tokio::sync::watch;

use super::{
    super::{Appended, Direction, Error, EventStore, Health, Page, StreamWrite, Subscription},
    FILE_NAME, OpenError,
    reading::Reading,
    recent::Recent,
    schema,
};
use crate::{
    envelope::RecordedEvent,
    ids::Position,
    stream::{Kind, StreamName},
};

/// How often it is looked whether something was appended.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The log of another process.
#[derive(Debug)]
pub struct SqliteFollower {
    reading: Reading,
    stop: Option<Sender<()>>,
    looker: Option<thread::JoinHandle<()>>,
}

impl SqliteFollower {
    /// Opens the log in a directory.
    ///
    /// # Errors
    /// [`OpenError::NoLog`], [`OpenError::Foreign`], [`OpenError::NewerFormat`], [`OpenError::Sqlite`].
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        let path = directory.join(FILE_NAME);
        let connection = schema::open_existing(&path)?;
        let start = schema::last_position(&connection)?;
        let (head_sender, head) = watch::channel(start);
        let (health_sender, health) = watch::channel(Health::Ready);
        let (stop, stopped) = mpsc::channel();
        let looker = thread::Builder::new()
            .name("event-log-look".to_owned())
            .spawn(move || look(&connection, &stopped, &head_sender, &health_sender))
            .map_err(|source| OpenError::Directory { path: directory.to_owned(), source })?;
        // Nothing is ever added to the last events: every page comes from the file.
        let reading = Reading::new(path, Arc::new(Recent::new(start)), head, health);
        Ok(Self { reading, stop: Some(stop), looker: Some(looker) })
    }
}

fn look(
    connection: &Connection,
    stopped: &Receiver<()>,
    head: &watch::Sender<Position>,
    health: &watch::Sender<Health>,
) {
    let mut seen = None;
    while stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
        match news(connection, &mut seen) {
            Ok(moved) => {
                if let Some(position) = moved {
                    head.send_if_modified(|head| std::mem::replace(head, position) != position);
                }
                health.send_if_modified(|health| std::mem::replace(health, Health::Ready) != Health::Ready);
            }
            Err(error) => {
                if health.send_if_modified(|health| std::mem::replace(health, Health::Failing) != Health::Failing) {
                    tracing::error!(%error, "the event log cannot be followed");
                }
            }
        }
    }
}

/// The head, if there was a commit since it was looked last.
fn news(connection: &Connection, seen: &mut Option<i64>) -> rusqlite::Result<Option<Position>> {
    let version = connection.pragma_query_value(None, "data_version", |row| row.get(0))?;
    if *seen == Some(version) {
        return Ok(None);
    }
    let position = schema::last_position(connection)?;
    *seen = Some(version);
    Ok(Some(position))
}

#[async_trait]
impl EventStore for SqliteFollower {
    async fn append(&self, _writes: Vec<StreamWrite>) -> Result<Vec<Appended>, Error> {
        Err(Error::Unavailable("this process follows the event log, and another one writes it".into()))
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        direction: Direction,
        max: usize,
    ) -> Result<Vec<RecordedEvent>, Error> {
        self.reading.read_stream(stream, direction, max).await
    }

    async fn read_all(&self, after: Position, kinds: &[Kind], max: usize) -> Result<Page, Error> {
        self.reading.read_all(after, kinds, max).await
    }

    fn subscribe(&self, after: Position, kinds: &[Kind]) -> Box<dyn Subscription> {
        self.reading.subscribe(after, kinds)
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.reading.head.clone()
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.reading.health.clone()
    }

    fn is_atomic(&self) -> bool {
        true
    }

    fn is_sole_writer(&self) -> bool {
        false
    }
}

impl Drop for SqliteFollower {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(looker) = self.looker.take() {
            // One that panicked has nothing left to end.
            let _ = looker.join();
        }
    }
}
