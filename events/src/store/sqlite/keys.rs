//! Which master keys the embedded log needs, looked at beside the process that writes it.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use rusqlite::Connection;
use thiserror::Error;

use super::{
    super::{Cause, wraps::Wraps},
    FILE_NAME, OpenError, lock,
    reader::{COLUMNS, ReadError, recorded},
    schema,
};
use crate::stream::Kind;

/// Keeps every process from writing the log for as long as it is held.
#[derive(Debug)]
pub struct Hold {
    _lock: File,
}

/// Takes the log's lock; `None` when another process has it. Makes no log.
///
/// # Errors
/// [`OpenError::Directory`].
pub fn hold(directory: &Path) -> Result<Option<Hold>, OpenError> {
    match lock(directory) {
        Ok(lock) => Ok(Some(Hold { _lock: lock })),
        Err(OpenError::Locked(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Why the log's wrapped keys cannot be looked at.
#[derive(Debug, Error)]
pub enum LookError {
    /// It is no log that this release can read.
    #[error("cannot look at the data keys")]
    Open(#[from] OpenError),
    /// A row cannot be told from others.
    #[error("cannot read a wrapped data key in {}", path.display())]
    Row {
        /// The log's file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        cause: Cause,
    },
}

/// Which master keys the data keys need. Sees everything that was committed before the call.
///
/// # Errors
/// See [`LookError`].
pub fn wraps(directory: &Path) -> Result<Wraps, LookError> {
    let path = directory.join(FILE_NAME);
    let connection = match schema::open_existing(&path) {
        Err(OpenError::NoLog(_)) => return Ok(Wraps::default()),
        opened => opened?,
    };
    count(&connection).map_err(|error| match error {
        ReadError::Sqlite(error) => OpenError::from(error).into(),
        ReadError::Damaged(damaged) => LookError::Row { path, cause: damaged.into() },
        ReadError::Corrupt(cause) => LookError::Row { path, cause },
    })
}

fn count(connection: &Connection) -> Result<Wraps, ReadError> {
    // The index over (stream, revision) has them side by side; `.` is what comes after `-`.
    let first = Kind::Key.prefix();
    let behind = format!("{}.", first.trim_end_matches('-'));
    let sql = format!("SELECT {COLUMNS} FROM events WHERE stream >= ?1 AND stream < ?2 AND substr(type, 1, 1) <> '$'");
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([first, &behind])?;
    let mut wraps = Wraps::default();
    while let Some(row) = rows.next()? {
        match recorded(row) {
            Ok(event) => wraps.count(&Ok(event)),
            Err(ReadError::Damaged(damaged)) => wraps.count(&Err(damaged)),
            Err(error) => return Err(error),
        }
    }
    Ok(wraps)
}
