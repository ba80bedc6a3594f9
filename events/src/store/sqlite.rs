//! The embedded log: one SQLite file in WAL mode, one writing process.
//!
//! Every commit is synced (`synchronous=FULL`) before it is acknowledged. One thread writes and takes the appends of
//! many callers into one transaction; readers have connections of their own and never wait for it. Readers see nothing
//! beyond the head, which moves after a commit only.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
};

use async_trait::async_trait;
use tokio::sync::{oneshot, watch};

use self::{
    reading::Reading,
    recent::Recent,
    writer::{Job, Writer},
};
use super::{Appended, Cause, Direction, Error, EventStore, Health, Page, StreamWrite, Subscription, check_form};
use crate::{
    envelope::RecordedEvent,
    ids::Position,
    stream::{Kind, StreamName},
};

pub mod file;
pub mod follower;
pub mod import;
pub mod keys;
mod reader;
mod reading;
mod recent;
mod schema;
pub mod snapshot;
mod subscription;
pub mod verify;
mod writer;

/// The name of the log's file in its directory.
pub const FILE_NAME: &str = "events.sqlite";
const LOCK_NAME: &str = "events.lock";

/// Why the embedded log could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process writes it.
    #[error("another process has the event log in {} open", .0.display())]
    Locked(PathBuf),
    /// There is none.
    #[error("there is no event log {}", .0.display())]
    NoLog(PathBuf),
    /// It holds events already.
    #[error("the event log in {} has events; only an empty one takes an import", .0.display())]
    NotEmpty(PathBuf),
    /// A newer release wrote it.
    #[error("the event log has format {found}, and this release knows formats up to {known}")]
    NewerFormat {
        /// The file's format number.
        found: i64,
        /// The newest that this release knows.
        known: i64,
    },
    /// The file is no event log.
    #[error("{} is not an event log of this service", .0.display())]
    Foreign(PathBuf),
    /// The directory or the lock cannot be had.
    #[error("cannot open the event log in {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// SQLite refused.
    #[error("cannot open the event log")]
    Sqlite(#[from] rusqlite::Error),
}

/// The embedded event store. Dropping it lets the writer finish and close the file.
#[derive(Debug)]
pub struct SqliteStore {
    jobs: Option<mpsc::Sender<Job>>,
    writer: Option<thread::JoinHandle<()>>,
    reading: Reading,
    _lock: File,
}

impl SqliteStore {
    /// Opens the log in a directory, which is made (mode 0700) when it is not there; takes its lock.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        let lock = lock(directory)?;
        let path = directory.join(FILE_NAME);
        let connection = schema::open_writer(&path)?;
        let start = schema::last_position(&connection)?;
        let (head_sender, head) = watch::channel(start);
        let (health_sender, health) = watch::channel(Health::Ready);
        let (jobs, queue) = mpsc::channel();
        let recent = Arc::new(Recent::new(start));
        let writer = Writer::new(path.clone(), connection, head_sender, health_sender, Arc::clone(&recent));
        let writer = thread::Builder::new()
            .name("event-log".to_owned())
            .spawn(move || writer.run(&queue))
            .map_err(|source| OpenError::Directory { path: directory.to_owned(), source })?;
        let reading = Reading::new(path, recent, head, health);
        Ok(Self { jobs: Some(jobs), writer: Some(writer), reading, _lock: lock })
    }
}

fn lock(directory: &Path) -> Result<File, OpenError> {
    let failed = |source| OpenError::Directory { path: directory.to_owned(), source };
    make_directory(directory).map_err(failed)?;
    let path = directory.join(LOCK_NAME);
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked(directory.to_owned())),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

#[cfg(unix)]
fn make_directory(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

#[cfg(not(unix))]
fn make_directory(directory: &Path) -> io::Result<()> {
    std::fs::create_dir_all(directory)
}

fn gone() -> Error {
    Error::Unavailable(Cause::from("the writer of the event log has ended"))
}

#[async_trait]
impl EventStore for SqliteStore {
    async fn append(&self, writes: Vec<StreamWrite>) -> Result<Vec<Appended>, Error> {
        check_form(&writes)?;
        let (answer, answered) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or_else(gone)?;
        jobs.send(Job { writes, answer }).map_err(|_| gone())?;
        answered.await.unwrap_or_else(|_| Err(Error::OutcomeUnknown(Cause::from("the writer of the event log ended"))))
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
        true
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has nothing left to finish.
            let _ = writer.join();
        }
    }
}
