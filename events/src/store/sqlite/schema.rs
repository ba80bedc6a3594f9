//! The file: its format number, its one table, and how each connection is set up.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, config::DbConfig};

use super::OpenError;
use crate::ids::Position;

/// What tells the file from any other SQLite file: "intg" in ASCII.
const APPLICATION_ID: i64 = 0x696E_7467;
/// The newest format that this release knows, kept as SQLite's `user_version`.
pub(super) const FORMAT: i64 = 1;

const TABLE: &str = "
    CREATE TABLE events (
        position INTEGER PRIMARY KEY AUTOINCREMENT,
        stream   TEXT NOT NULL,
        revision INTEGER NOT NULL,
        id       TEXT NOT NULL,
        type     TEXT NOT NULL,
        at       TEXT NOT NULL,
        data     ANY NOT NULL,
        metadata TEXT NOT NULL,
        hash     TEXT NOT NULL,
        UNIQUE (stream, revision)
    ) STRICT;
";

/// Opens the file for writing, and makes it when it is not there.
pub(super) fn open_writer(path: &Path) -> Result<Connection, OpenError> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    check_format(&connection, path)?;
    // Deleted keys must not stay in free pages; a commit must be on the disk before it is acknowledged.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA cache_size = -65536;",
    )?;
    connection.set_prepared_statement_cache_capacity(32);
    keep_plans(&connection)?;
    Ok(connection)
}

/// Opens the file of a log for reading by whoever does not write it: it is checked, and never made.
pub(super) fn open_existing(path: &Path) -> Result<Connection, OpenError> {
    if !path.is_file() {
        return Err(OpenError::NoLog(path.to_owned()));
    }
    let connection = open_reader(path)?;
    let (format, application, tables) = marks(&connection, path)?;
    // A first start that was interrupted leaves a file with nothing in it.
    if tables == 0 && application == 0 {
        return Err(OpenError::NoLog(path.to_owned()));
    }
    check_marks(format, application, path)?;
    Ok(connection)
}

/// Opens the file for reading.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    keep_plans(&connection)?;
    Ok(connection)
}

/// SQLite would plan a statement anew whenever a value that it is given has changed, which takes longer than to run it.
fn keep_plans(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(|_| ())
}

fn check_format(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let (format, application, tables) = marks(connection, path)?;
    if tables == 0 && application == 0 {
        return Ok(create(connection)?);
    }
    check_marks(format, application, path)
}

/// What tells what the file is: its format, whose it is, and how many tables it has.
fn marks(connection: &Connection, path: &Path) -> Result<(i64, i64, i64), OpenError> {
    let foreign = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => OpenError::Foreign(path.to_owned()),
        Some(_) | None => OpenError::Sqlite(error),
    };
    let format = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(foreign)?;
    let application = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok((format, application, tables))
}

fn check_marks(format: i64, application: i64, path: &Path) -> Result<(), OpenError> {
    if application != APPLICATION_ID {
        return Err(OpenError::Foreign(path.to_owned()));
    }
    if format > FORMAT { Err(OpenError::NewerFormat { found: format, known: FORMAT }) } else { Ok(()) }
}

/// Makes an empty log of an empty file.
pub(super) fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT}; {TABLE} COMMIT;"
    ))
}

/// The highest position that was ever given.
pub(super) fn last_position(connection: &Connection) -> rusqlite::Result<Position> {
    let last: Option<i64> = connection
        .query_row("SELECT seq FROM sqlite_sequence WHERE name = 'events'", [], |row| row.get(0))
        .optional()?;
    Ok(Position::new(last.unwrap_or(0).unsigned_abs()))
}

/// Copies the write-ahead log into the file and empties it; `false` when a reader was in the way.
pub(super) fn truncate_wal(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0)).map(|busy| busy == 0)
}
