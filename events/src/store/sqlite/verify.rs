//! Whether the log is what was appended: every row's hash over its bytes as stored, every stream without a gap and in
//! order, every icon the one that its integration names, and SQLite's own check of the file.
//!
//! Ranges of positions are walked in parallel, each in pages, so that the write-ahead log of a running service can
//! shrink meanwhile. What is appended meanwhile is not looked at. Each row is judged with the one before it in its
//! stream alone, so that it makes no difference where the ranges are cut.

use std::{
    collections::HashSet,
    fmt,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    thread::{self, ScopedJoinHandle},
};

use rusqlite::Connection;
use thiserror::Error;

use self::walk::{Walk, Walked};
use super::{FILE_NAME, OpenError, schema};
use crate::ids::Position;

mod cache;
mod row;
mod walk;

/// How much of the file may be mapped: more than there is.
const MAPPED_BYTES: i64 = 1 << 40;
/// Memory for pages that are not mapped.
const CACHE_KIB: i64 = 128 * 1_024;

/// How many findings are listed; the rest is counted.
pub const FINDINGS_MAX: usize = 1_000;

/// Something that is not as it was appended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Finding {
    /// Something about this event is not what its hash was made of, or it cannot be read at all.
    Altered {
        /// Its stream.
        stream: String,
        /// Its revision.
        revision: i64,
    },
    /// Events of these revisions should be there, the last one included.
    Missing {
        /// Their stream.
        stream: String,
        /// The first.
        from: i64,
        /// The last.
        to: i64,
    },
    /// This event has a lower position than the one before it in its stream, or one that is never given.
    OutOfOrder {
        /// Its stream.
        stream: String,
        /// Its revision.
        revision: i64,
    },
    /// This event should have gone, with the next one of a stream that keeps its last only, or with a tombstone.
    Surplus {
        /// Its stream.
        stream: String,
        /// Its revision.
        revision: i64,
    },
    /// SQLite finds the file itself damaged.
    File(String),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Altered { stream, revision } => write!(f, "{} revision {revision}: altered", shown(stream)),
            Self::Missing { stream, from, to } if from == to => write!(f, "{} revision {from}: missing", shown(stream)),
            Self::Missing { stream, from, to } => write!(f, "{} revisions {from} to {to}: missing", shown(stream)),
            Self::OutOfOrder { stream, revision } => write!(f, "{} revision {revision}: out of order", shown(stream)),
            Self::Surplus { stream, revision } => write!(f, "{} revision {revision}: should be gone", shown(stream)),
            Self::File(what) => write!(f, "file: {}", shown(what)),
        }
    }
}

/// A name that somebody wrote by hand may hold anything, and goes to a terminal.
fn shown(name: &str) -> String {
    name.chars().map(|char| if char.is_control() { char.escape_debug().to_string() } else { char.into() }).collect()
}

/// What was looked at, and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Streams with events.
    pub streams: u64,
    /// Events; tombstones are none.
    pub events: u64,
    /// The highest position that was ever given.
    pub head: Position,
    /// What is wrong, in the order of positions; at most [`FINDINGS_MAX`].
    pub findings: Vec<Finding>,
    /// How many findings there are beside those.
    pub more: u64,
}

impl Report {
    /// Whether everything is as it was appended.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.findings.is_empty()
    }
}

/// How far it has come.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Positions that were passed, over all ranges.
    pub passed: u64,
    /// Positions to pass.
    pub all: u64,
}

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
        Err(error) if is_damage(&error) => return Ok(report(Position::START, Vec::new(), damage(&path)?)),
        ends => ends?,
    };
    let passed = AtomicU64::new(0);
    let pass = |positions: u64| {
        let passed = passed.fetch_add(positions, Ordering::Relaxed) + positions;
        tell(Progress { passed, all: last.unsigned_abs() });
    };
    let walk = &|range| -> rusqlite::Result<Walked> { Walk::new(&open(&path)?).over(range, &pass) };
    thread::scope(|scope| {
        let file = named("verify-file").spawn_scoped(scope, || damage(&path))?;
        let walks = ranges(last, threads)
            .into_iter()
            .map(|range| named("verify-walk").spawn_scoped(scope, move || walk(range)))
            .collect::<Result<Vec<_>, _>>()?;
        let walked = walks.into_iter().map(joined).collect::<Result<_, _>>()?;
        Ok(report(head, walked, joined(file)?))
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

fn report(head: Position, walked: Vec<Walked>, damage: Vec<Finding>) -> Report {
    let mut report = Report { streams: 0, events: 0, head, findings: Vec::new(), more: 0 };
    let mut seen = HashSet::new();
    let mut found = damage;
    for walked in walked {
        report.streams += walked.streams;
        report.events += walked.events;
        report.more += walked.more;
        found.extend(walked.findings);
    }
    for finding in found {
        if report.findings.len() >= FINDINGS_MAX {
            report.more += 1;
        } else if seen.insert(finding.clone()) {
            report.findings.push(finding);
        }
    }
    report
}
