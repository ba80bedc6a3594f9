//! Reading the file: connections of their own, short transactions, nothing beyond the head.

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use rusqlite::{Connection, Row, params, types::ValueRef};
use tokio::sync::{Semaphore, SemaphorePermit};
use uuid::Uuid;

use super::{
    super::{Cause, Damaged, Direction, Error, Page},
    schema,
    writer::{TOMBSTONE, number},
};
use crate::{
    envelope::{Digest, RecordedEvent},
    ids::{EventId, Position, Revision},
    stream::{Kind, StreamName},
    time::Timestamp,
};

/// How many rows one read transaction looks at, at most: a longer one would keep the write-ahead log from shrinking.
const ROWS_MAX: usize = 1_000;
/// How many read at once; each has a connection, which is kept for the next.
const READERS_MAX: usize = 16;
pub(super) const COLUMNS: &str = "position, stream, revision, id, type, at, data, metadata, hash";

/// Connections for reading.
#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    places: Semaphore,
}

/// What goes wrong when rows are read: SQLite's errors, and rows that are not what they should be.
#[derive(Debug)]
pub(super) enum ReadError {
    Sqlite(rusqlite::Error),
    Damaged(Damaged),
    Corrupt(Cause),
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Sqlite(error) => Self::Unavailable(error.into()),
            ReadError::Damaged(damaged) => Self::Damaged(damaged),
            ReadError::Corrupt(cause) => Self::Corrupt(cause),
        }
    }
}

impl From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, idle: Mutex::new(Vec::new()), places: Semaphore::new(READERS_MAX) }
    }

    /// Waits until there is room for one more reader.
    pub(super) async fn place(&self) -> Option<SemaphorePermit<'_>> {
        self.places.acquire().await.ok()
    }

    /// Reads with a connection of its own.
    pub(super) fn with<T>(&self, read: impl FnOnce(&Connection) -> Result<T, ReadError>) -> Result<T, Error> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = idle.map_or_else(|| schema::open_reader(&self.path), Ok);
        let connection = connection.map_err(|error| Error::Unavailable(error.into()))?;
        let result = read(&connection);
        if result.is_ok() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
        Ok(result?)
    }

    /// `None` when what stood there was removed by a commit that is not shown yet: to be asked again when the head has
    /// moved.
    pub(super) fn read_stream(
        &self,
        stream: &StreamName,
        direction: Direction,
        max: usize,
        head: Position,
    ) -> Result<Option<Vec<RecordedEvent>>, Error> {
        let mut events: Vec<RecordedEvent> = Vec::new();
        let mut stretch = Stretch::of(direction);
        loop {
            let wanted = (max - events.len()).min(ROWS_MAX);
            let page = match self.with(|connection| stream_page(connection, stream, stretch, wanted, head))? {
                Found::Events(page) => page,
                Found::Tombstone => return Err(Error::Tombstoned { stream: stream.clone() }),
                Found::Moved => return Ok(None),
            };
            let is_last = page.len() < wanted;
            events.extend(page);
            match events.last().filter(|_| !is_last && events.len() < max) {
                Some(last) if direction == Direction::BackwardsFromEnd && last.revision == Revision::FIRST => break,
                Some(last) => stretch = stretch.after(last.revision, direction),
                None => break,
            }
        }
        Ok(Some(events))
    }

    pub(super) fn read_all(&self, after: Position, kinds: &[Kind], max: usize, head: Position) -> Result<Page, Error> {
        let wanted = max.min(ROWS_MAX);
        self.with(|connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM events WHERE position > ?1 AND position <= ?2 ORDER BY position LIMIT ?3"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(params![number(after.get()), number(head.get()), number(wanted as u64)])?;
            let (mut events, mut seen, mut through) = (Vec::new(), 0, after);
            while let Some(row) = rows.next()? {
                match is_of_interest(row, kinds).and_then(|is| is.then(|| recorded(row)).transpose()) {
                    Ok(event) => events.extend(event),
                    // Whatever comes before it is answered first.
                    Err(ReadError::Damaged(_)) if seen > 0 => return Ok(Page { events, through, is_last: false }),
                    Err(error) => return Err(error),
                }
                seen += 1;
                through = Position::new(row.get::<_, i64>(0)?.unsigned_abs());
            }
            let is_last = seen < wanted;
            Ok(Page { events, through: if is_last { head.max(after) } else { through }, is_last })
        })
    }
}

/// What stands in no stream that can be named is of no interest to anybody but `verify`.
fn is_of_interest(row: &Row<'_>, kinds: &[Kind]) -> Result<bool, ReadError> {
    let is_of_kind = text(row, 1).ok().and_then(Kind::of).is_some_and(|kind| kinds.contains(&kind));
    Ok(is_of_kind && !text(row, 4).map_err(|error| placed(row, error))?.starts_with('$'))
}

/// The revisions that are still to be read, the last one included.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    from: i64,
    to: i64,
    order: &'static str,
}

impl Stretch {
    fn of(direction: Direction) -> Self {
        match direction {
            Direction::ForwardsFrom(revision) => Self { from: number(revision.get()), to: i64::MAX, order: "ASC" },
            Direction::BackwardsFromEnd => Self { from: 0, to: i64::MAX, order: "DESC" },
        }
    }

    fn after(self, read: Revision, direction: Direction) -> Self {
        match direction {
            Direction::ForwardsFrom(_) => Self { from: number(read.get()) + 1, ..self },
            Direction::BackwardsFromEnd => Self { to: number(read.get()) - 1, ..self },
        }
    }
}

/// What a look at a stream finds.
enum Found {
    /// Its events, perhaps none.
    Events(Vec<RecordedEvent>),
    /// It was removed for good.
    Tombstone,
    /// None, and a commit beyond the head, which may have removed them.
    Moved,
}

fn stream_page(
    connection: &Connection,
    stream: &StreamName,
    stretch: Stretch,
    max: usize,
    head: Position,
) -> Result<Found, ReadError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM events
         WHERE stream = ?1 AND position <= ?2 AND revision BETWEEN ?3 AND ?4 AND substr(type, 1, 1) <> '$'
         ORDER BY revision {} LIMIT ?5",
        stretch.order
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows =
        statement.query(params![stream.as_str(), number(head.get()), stretch.from, stretch.to, number(max as u64)])?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        events.push(recorded(row)?);
    }
    if events.is_empty() { end_of_stream(connection, stream, head) } else { Ok(Found::Events(events)) }
}

/// What it means that a stream has no events to be read. Whatever removes events leaves a later row in their place.
fn end_of_stream(connection: &Connection, stream: &StreamName, head: Position) -> Result<Found, ReadError> {
    let sql = "SELECT position, type FROM events WHERE stream = ?1 ORDER BY revision DESC LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([stream.as_str()])?;
    let Some(row) = rows.next()? else { return Ok(Found::Events(Vec::new())) };
    Ok(if row.get::<_, i64>(0)? > number(head.get()) {
        Found::Moved
    } else if text(row, 1)? == TOMBSTONE {
        Found::Tombstone
    } else {
        Found::Events(Vec::new())
    })
}

/// The event of a row.
pub(super) fn recorded(row: &Row<'_>) -> Result<RecordedEvent, ReadError> {
    parsed(row).map_err(|error| placed(row, error))
}

/// Says of damage where it is, if the row can still be told from others.
fn placed(row: &Row<'_>, error: ReadError) -> ReadError {
    let place =
        || Some((row.get::<_, i64>(0).ok()?, row.get::<_, i64>(2).ok()?, StreamName::parse(text(row, 1).ok()?).ok()?));
    match (error, place()) {
        (ReadError::Corrupt(cause), Some((position, revision, stream))) => ReadError::Damaged(Damaged {
            position: Position::new(position.unsigned_abs()),
            stream,
            revision: Revision::new(revision.unsigned_abs()),
            cause: cause.to_string(),
        }),
        (error, _) => error,
    }
}

fn parsed(row: &Row<'_>) -> Result<RecordedEvent, ReadError> {
    let data = match row.get_ref(6)? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Bytes::copy_from_slice(bytes),
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => {
            return Err(corrupt("the data is neither text nor a blob"));
        }
    };
    let hash = data_encoding::HEXLOWER.decode(text(row, 8)?.as_bytes()).map_err(corrupt)?;
    let at = chrono::DateTime::parse_from_rfc3339(text(row, 5)?).map_err(corrupt)?;
    Ok(RecordedEvent {
        position: Position::new(row.get::<_, i64>(0)?.unsigned_abs()),
        stream: StreamName::parse(text(row, 1)?).map_err(corrupt)?,
        revision: Revision::new(row.get::<_, i64>(2)?.unsigned_abs()),
        id: EventId::new(Uuid::try_parse(text(row, 3)?).map_err(corrupt)?),
        event_type: text(row, 4)?.to_owned(),
        at: Timestamp::new(at.to_utc()),
        data,
        metadata: Bytes::copy_from_slice(text(row, 7)?.as_bytes()),
        hash: Digest::new(hash.try_into().map_err(|_| corrupt("the hash is not 32 bytes"))?),
    })
}

pub(super) fn text<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a str, ReadError> {
    row.get_ref(column)?.as_str().map_err(corrupt)
}

fn corrupt(cause: impl Into<Cause>) -> ReadError {
    ReadError::Corrupt(cause.into())
}
