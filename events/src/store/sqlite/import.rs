//! An import: events that another log held, checked one by one, become a log of their own, or nothing does.
//!
//! They are written into a draft beside the log's place, which gets its name when it is complete and synced.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OptionalExtension as _, params};
use thiserror::Error;

use super::{FILE_NAME, OpenError, lock, schema, writer::number};
use crate::{
    envelope::{Digest, RecordedEvent},
    ids::{Position, Revision},
    store::check::{Check, End, Refusal},
};

const DRAFT_NAME: &str = "events.sqlite.draft";

/// Why an import does not go on.
#[derive(Debug, Error)]
pub enum Error {
    /// The event is not what a log holds there.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// SQLite cannot write it.
    #[error("cannot write the event log")]
    Sqlite(#[from] rusqlite::Error),
    /// The file cannot be made durable.
    #[error("cannot write the event log")]
    File(#[from] io::Error),
}

/// A log that is being written. Dropping it leaves nothing of it.
#[derive(Debug)]
pub struct Import {
    directory: PathBuf,
    /// `None` when it is closed.
    connection: Option<Connection>,
    head: Position,
    check: Check,
    _lock: File,
}

impl Import {
    /// Begins a log in a directory, which is made when it is not there, and takes its lock. `head` is the highest
    /// position that was ever given: none up to it is given again.
    ///
    /// # Errors
    /// [`OpenError::NotEmpty`] when there is a log with events, and whatever else [`OpenError`] says.
    pub fn begin(directory: &Path, head: Position) -> Result<Self, OpenError> {
        let lock = lock(directory)?;
        make_way(directory)?;
        let check = Check::new(head);
        let mut import = Self { directory: directory.to_owned(), connection: None, head, check, _lock: lock };
        import.connection = Some(open_draft(&import.draft())?);
        Ok(import)
    }

    /// Adds the next event, if it is what the log held there.
    ///
    /// # Errors
    /// See [`enum@Error`]. The import cannot go on after one.
    pub fn add(&mut self, event: &RecordedEvent) -> Result<(), Error> {
        let connection = self.connection.as_ref().ok_or(rusqlite::Error::InvalidQuery)?;
        self.check.event(event, end_of(connection, event)?)?;
        insert(connection, event)
    }

    /// Makes it the log of its directory, durably.
    ///
    /// # Errors
    /// [`Error::Sqlite`], [`Error::File`]: then there is no log.
    pub fn finish(mut self) -> Result<(), Error> {
        let connection = self.connection.take().ok_or(rusqlite::Error::InvalidQuery)?;
        // Not an upsert: the table of sequences has no unique index.
        connection.execute("DELETE FROM sqlite_sequence WHERE name = 'events'", [])?;
        connection
            .execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('events', ?1)", [number(self.head.get())])?;
        connection.execute_batch("COMMIT")?;
        connection.close().map_err(|(_, error)| error)?;
        File::open(self.draft())?.sync_all()?;
        std::fs::rename(self.draft(), self.directory.join(FILE_NAME))?;
        Ok(File::open(&self.directory)?.sync_all()?)
    }

    fn draft(&self) -> PathBuf {
        self.directory.join(DRAFT_NAME)
    }
}

impl Drop for Import {
    fn drop(&mut self) {
        self.connection = None;
        // A finished one has no draft any more; one that stays is overwritten by the next import.
        let _ = std::fs::remove_file(self.draft());
    }
}

/// Refuses a log with events. What an empty one leaves beside it must not be taken for that of the new one.
fn make_way(directory: &Path) -> Result<(), OpenError> {
    let path = directory.join(FILE_NAME);
    if path.exists() {
        let connection = schema::open_writer(&path)?;
        if schema::last_position(&connection)? > Position::START {
            return Err(OpenError::NotEmpty(directory.to_owned()));
        }
        connection.close().map_err(|(_, error)| error)?;
    }
    for name in [format!("{FILE_NAME}-wal"), format!("{FILE_NAME}-shm"), DRAFT_NAME.to_owned()] {
        match std::fs::remove_file(directory.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(OpenError::Directory { path: directory.to_owned(), source: error });
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Opens a draft for one transaction. It needs no journal: when the transaction fails, the whole file goes.
fn open_draft(path: &Path) -> Result<Connection, OpenError> {
    let connection = Connection::open(path)?;
    connection.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536;")?;
    schema::create(&connection)?;
    connection.execute_batch("BEGIN IMMEDIATE")?;
    Ok(connection)
}

/// Where the stream of an event ends so far.
fn end_of(connection: &Connection, event: &RecordedEvent) -> Result<Option<End>, Error> {
    let sql = "SELECT revision, hash FROM events WHERE stream = ?1 ORDER BY revision DESC LIMIT 1";
    let end: Option<(i64, String)> = connection
        .prepare_cached(sql)?
        .query_row([event.stream.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((revision, hash)) = end else { return Ok(None) };
    let hash = Digest::parse(&hash).ok_or(Refusal::Altered)?;
    Ok(Some(End { revision: Revision::new(revision.unsigned_abs()), hash }))
}

fn insert(connection: &Connection, event: &RecordedEvent) -> Result<(), Error> {
    let sql = "INSERT INTO events (position, stream, revision, id, type, at, data, metadata, hash)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let text = |bytes| std::str::from_utf8(bytes).map_err(|_| Refusal::Altered);
    let data: &dyn rusqlite::ToSql =
        if event.stream.kind().holds_bytes() { &&*event.data } else { &text(&event.data)? };
    connection.prepare_cached(sql)?.execute(params![
        number(event.position.get()),
        event.stream.as_str(),
        number(event.revision.get()),
        event.id.to_string(),
        event.event_type,
        event.at.to_string(),
        data,
        text(&event.metadata)?,
        event.hash.to_string(),
    ])?;
    Ok(())
}
