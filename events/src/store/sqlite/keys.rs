//! Which master keys the embedded log needs, looked at beside the process that writes it.

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
};

use rusqlite::Connection;
use thiserror::Error;

use super::{
    super::Cause,
    FILE_NAME, OpenError, lock,
    reader::{COLUMNS, ReadError, recorded},
    schema,
};
use crate::{stored, stream::Kind};

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
    /// A row is not what it should be.
    #[error("cannot read a wrapped data key in {}", path.display())]
    Row {
        /// The log's file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        cause: Cause,
    },
}

/// How many data keys each master key wraps, by its id. Sees everything that was committed before the call.
///
/// # Errors
/// See [`LookError`].
pub fn wraps_by_master_key(directory: &Path) -> Result<BTreeMap<String, u64>, LookError> {
    let path = directory.join(FILE_NAME);
    let connection = match schema::open_existing(&path) {
        Err(OpenError::NoLog(_)) => return Ok(BTreeMap::new()),
        opened => opened?,
    };
    count(&connection).map_err(|error| match error {
        ReadError::Sqlite(error) => OpenError::from(error).into(),
        ReadError::Damaged(damaged) => LookError::Row { path, cause: damaged.into() },
        ReadError::Corrupt(cause) => LookError::Row { path, cause },
    })
}

fn count(connection: &Connection) -> Result<BTreeMap<String, u64>, ReadError> {
    // The index over (stream, revision) has them side by side; `.` is what comes after `-`.
    let first = Kind::Key.prefix();
    let behind = format!("{}.", first.trim_end_matches('-'));
    let sql = format!("SELECT {COLUMNS} FROM events WHERE stream >= ?1 AND stream < ?2 AND substr(type, 1, 1) <> '$'");
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([first, &behind])?;
    let mut wraps = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let form = stored::data_key_wrapped(&recorded(row)?).map_err(|error| ReadError::Corrupt(error.into()))?;
        *wraps.entry(form.wrapped.master_key().to_owned()).or_default() += 1;
    }
    Ok(wraps)
}
