//! The log for a process that does not write it: opened read-only, beside a running service too, and never made.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    super::{Direction, Error},
    FILE_NAME, OpenError,
    reader::{ReadError, Readers},
    schema,
};
use crate::{
    envelope::RecordedEvent,
    ids::{IntegrationId, Position},
    stream::{Kind, StreamName},
};

/// The log's file.
#[derive(Debug)]
pub struct LogFile {
    readers: Readers,
    head: Position,
}

impl LogFile {
    /// Opens the log in a directory. What is appended later is not seen.
    ///
    /// # Errors
    /// [`OpenError::NoLog`], [`OpenError::Foreign`], [`OpenError::NewerFormat`], [`OpenError::Sqlite`].
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        let path = directory.join(FILE_NAME);
        let head = schema::last_position(&schema::open_existing(&path)?)?;
        Ok(Self { readers: Readers::new(path), head })
    }

    /// Every event of a stream, from its first on.
    ///
    /// # Errors
    /// [`Error::Tombstoned`], [`Error::Unavailable`], [`Error::Damaged`].
    pub fn read_stream(&self, stream: &StreamName) -> Result<Vec<RecordedEvent>, Error> {
        let from_first = Direction::ForwardsFrom(crate::ids::Revision::FIRST);
        let events = self.readers.read_stream(stream, from_first, usize::MAX, self.head)?;
        // What stood there was removed after the log was opened.
        Ok(events.unwrap_or_default())
    }

    /// The streams of the integrations of this id: one in each tenant that has or had one.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub fn integrations(&self, id: IntegrationId) -> Result<Vec<StreamName>, Error> {
        self.readers.with(|connection| {
            let mut found = Vec::new();
            let prefix = Kind::Integration.prefix();
            let mut after = prefix.to_owned();
            while let Some(name) = next_integration(connection, &after)? {
                let Some((tenant, _)) = name.strip_prefix(prefix).and_then(|rest| rest.split_once(':')) else {
                    return Err(ReadError::Corrupt(format!("{name} is not named after an integration").into()));
                };
                let stream = format!("{prefix}{tenant}:{id}");
                if has_events(connection, &stream)? {
                    found.push(StreamName::parse(&stream).map_err(|error| ReadError::Corrupt(error.into()))?);
                }
                // `;` is the next character after `:`, so that the index leads to the next tenant in one step.
                after = format!("{prefix}{tenant};");
            }
            Ok(found)
        })
    }
}

fn next_integration(connection: &Connection, after: &str) -> rusqlite::Result<Option<String>> {
    // `.` is the next character after `-`, which ends the prefix.
    let sql = "SELECT stream FROM events WHERE stream > ?1 AND stream < 'integration.' ORDER BY stream LIMIT 1";
    connection.prepare_cached(sql)?.query_row([after], |row| row.get(0)).optional()
}

fn has_events(connection: &Connection, stream: &str) -> rusqlite::Result<bool> {
    connection.prepare_cached("SELECT 1 FROM events WHERE stream = ?1")?.exists(params![stream])
}
