//! Whether the log is what was appended: every row's hash over its bytes as stored, every stream without a gap and in
//! order, every icon the one that its integration names, and SQLite's own check of the file.
//!
//! Ranges of positions are walked in parallel, each in pages, so that the write-ahead log of a running service can
//! shrink meanwhile. What is appended meanwhile is not looked at. Each row is judged with the one before it in its
//! stream alone, so that it makes no difference where the ranges are cut.

use std::{
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    thread::{self, ScopedJoinHandle},
};

use rusqlite::Connection;
use thiserror::Error;

use self::walk::Walk;
use super::{FILE_NAME, OpenError, schema};
use crate::{
    ids::Position,
    verify::{Finding, Progress, Report, Seen},
};

mod cache;
mod row;
mod walk;

/// How much of the file may be mapped: more than there is.
const MAPPED_BYTES: i64 = 1 << 40;
/// Memory for pages that are not mapped.
const CACHE_KIB: i64 = 128 * 1_024;

/// Why nothing can be told of the log.
#[derive(Debug, Error)]
pub enum Error {
    /// It cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It cannot be read, for another reason than damage.
    #[error("cannot read the event log")]
    Read(#[from] rusqlite::Error),
    /// The system gives no thread.
    #[error("cannot start a thread")]
    Thread(#[from] std::io::Error),
}

/// Walks the log in a directory with so many threads, and one more for SQLite's own check. A running service is not in
/// the way. `tell` is called now and then, from every thread.
///
/// # Errors
/// See [`enum@Error`]. Damage is no error, but a finding.
pub fn verify(directory: &Path, threads: usize, tell: impl Fn(Progress) + Sync) -> Result<Report, Error> {
    let path = directory.join(FILE_NAME);
    let (head, last) = match ends(&schema::open_existing(&path)?) {
        Err(error) if is_damage(&error) => return Ok(Report::of(Position::START, Vec::new(), damage(&path)?)),
        ends => ends?,
    };
    let passed = AtomicU64::new(0);
    let pass = |positions: u64| {
        let passed = passed.fetch_add(positions, Ordering::Relaxed) + positions;
        // Nearly every position has an event.
        tell(Progress { events: passed, passed, all: last.unsigned_abs() });
    };
    let walk = &|range| -> rusqlite::Result<Seen> { Walk::new(&open(&path)?).over(range, &pass) };
    thread::scope(|scope| {
        let file = named("verify-file").spawn_scoped(scope, || damage(&path))?;
        let walks = ranges(last, threads)
            .into_iter()
            .map(|range| named("verify-walk").spawn_scoped(scope, move || walk(range)))
            .collect::<Result<Vec<_>, _>>()?;
        let walked = walks.into_iter().map(joined).collect::<Result<_, _>>()?;
        Ok(Report::of(head, walked, joined(file)?))
    })
}

fn named(name: &str) -> thread::Builder {
    thread::Builder::new().name(name.to_owned())
}

fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The head, and the highest position that there is, which is no other unless somebody meddled with it.
fn ends(connection: &Connection) -> rusqlite::Result<(Position, i64)> {
    let sql = "SELECT (SELECT seq FROM sqlite_sequence WHERE name = 'events'), (SELECT max(position) FROM events)";
    connection.query_row(sql, [], |row| {
        let head = row.get::<_, Option<i64>>(0)?.unwrap_or(0);
        let last = row.get::<_, Option<i64>>(1)?.unwrap_or(0);
        Ok((Position::new(head.unsigned_abs()), last))
    })
}

/// Cuts the positions into as many ranges, each from after its first number to its second.
fn ranges(last: i64, count: usize) -> Vec<(i64, i64)> {
    let count = i64::try_from(count.max(1)).unwrap_or(1);
    let cut = |at: i64| (i128::from(last) * i128::from(at) / i128::from(count)).try_into().unwrap_or(last);
    // The first range takes what stands before the beginning, where nothing should.
    (0..count).map(|at| (if at == 0 { i64::MIN } else { cut(at) }, cut(at + 1))).collect()
}

/// Opens the file to look at all of it: through the system's own pages, which need not be copied, and with room for the
/// index, in which every row is looked up. Nothing cuts the file short while it is there.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = schema::open_reader(path)?;
    connection.pragma_update(None, "mmap_size", MAPPED_BYTES)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    Ok(connection)
}

/// What SQLite finds wrong with the file.
fn damage(path: &Path) -> rusqlite::Result<Vec<Finding>> {
    let connection = open(path)?;
    let mut statement = connection.prepare("PRAGMA integrity_check")?;
    let lines: rusqlite::Result<Vec<String>> = statement.query_map([], |row| row.get(0))?.collect();
    match lines {
        Ok(lines) => Ok(lines.into_iter().filter(|line| line != "ok").map(Finding::File).collect()),
        Err(error) if is_damage(&error) => Ok(vec![Finding::File(error.to_string())]),
        Err(error) => Err(error),
    }
}

/// Whether SQLite could read, and what it read was no sound file.
fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase))
}
