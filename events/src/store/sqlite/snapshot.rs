//! The log as it was at one moment: one read transaction for as long as it takes to read all of it.

use std::path::Path;

use rusqlite::Connection;

use super::{
    super::Error,
    FILE_NAME, OpenError,
    reader::{COLUMNS, ReadError, recorded, text},
    schema,
};
use crate::{envelope::RecordedEvent, ids::Position, stream::Kind};

/// A moment of the log. While it is there, the write-ahead log of a running service cannot shrink.
#[derive(Debug)]
pub struct Snapshot {
    connection: Connection,
    head: Position,
}

impl Snapshot {
    /// Takes the log in a directory as it is now; a running service is not in the way, nor is this in its way.
    ///
    /// # Errors
    /// [`OpenError::NoLog`], [`OpenError::Foreign`], [`OpenError::NewerFormat`], [`OpenError::Sqlite`].
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        let connection = schema::open_existing(&directory.join(FILE_NAME))?;
        // The transaction takes its snapshot with its first read.
        connection.execute_batch("BEGIN")?;
        let head = schema::last_position(&connection)?;
        Ok(Self { connection, head })
    }

    /// The highest position that was ever given.
    #[must_use]
    pub fn head(&self) -> Position {
        self.head
    }

    /// Shows every event that an export holds, in the order of positions.
    ///
    /// # Errors
    /// What `visit` fails with, [`Error::Unavailable`], [`Error::Corrupt`].
    pub fn for_each<E: From<Error>>(&self, mut visit: impl FnMut(&RecordedEvent) -> Result<(), E>) -> Result<(), E> {
        let failed = |error: rusqlite::Error| E::from(Error::from(ReadError::from(error)));
        let sql = format!("SELECT {COLUMNS} FROM events ORDER BY position");
        let mut statement = self.connection.prepare(&sql).map_err(failed)?;
        let mut rows = statement.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let event = exported(row).map_err(Error::from)?;
            if let Some(event) = event {
                visit(&event)?;
            }
        }
        Ok(())
    }
}

/// The event, unless no export holds it. A stream of an unknown kind is not passed over: a backup without it is none.
fn exported(row: &rusqlite::Row<'_>) -> Result<Option<RecordedEvent>, ReadError> {
    let is_exported = Kind::of(text(row, 1)?).is_none_or(Kind::is_exported) && !text(row, 4)?.starts_with('$');
    if !is_exported {
        return Ok(None);
    }
    let position = || row.get::<_, i64>(0).unwrap_or_default();
    recorded(row).map(Some).map_err(|error| match error {
        ReadError::Damaged(damaged) => ReadError::Corrupt(damaged.into()),
        ReadError::Corrupt(cause) => ReadError::Corrupt(format!("position {}: {cause}", position()).into()),
        ReadError::Sqlite(error) => ReadError::Sqlite(error),
    })
}
