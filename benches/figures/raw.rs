//! The baseline of the figure about creates: SQLite alone, writing the rows that the service wrote, with its settings.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags, params, types::Value};

const INSERT: &str = "INSERT INTO events (stream, revision, id, type, at, data, metadata, hash)
                      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
/// Digits at the end of a stream's name that are counted up, so that no name comes twice, and each behind the one before:
/// so do the service's own ids, and the index is written to at its end.
const DIGITS: usize = 8;

/// A row as the service wrote it, but its position.
#[derive(Debug, Clone)]
struct Row {
    stream: String,
    rest: [Value; 7],
}

/// The creates of a log of the service, to be written again.
#[derive(Debug)]
pub(crate) struct Creates {
    table: String,
    /// The rows of each create.
    creates: Vec<Vec<Row>>,
}

impl Creates {
    /// Copies the first creates of a log that holds nothing else.
    pub(crate) fn of_log(file: &Path, max: i64) -> Self {
        let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let table = connection.query_row("SELECT sql FROM sqlite_schema WHERE name = 'events'", [], |row| row.get(0));
        let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        let creates = count("SELECT count(*) FROM events WHERE type LIKE 'IntegrationCreated.%'");
        let rows = count("SELECT count(*) FROM events") / creates;
        let sql = "SELECT stream, revision, id, type, at, data, metadata, hash FROM events ORDER BY position LIMIT ?1";
        let mut statement = connection.prepare(sql).unwrap();
        let read = |row: &rusqlite::Row<'_>| {
            let value = |at: usize| row.get::<_, Value>(at);
            let rest = [value(1)?, value(2)?, value(3)?, value(4)?, value(5)?, value(6)?, value(7)?];
            Ok(Row { stream: row.get(0)?, rest })
        };
        let all: Vec<Row> = statement.query_map([max * rows], read).unwrap().map(Result::unwrap).collect();
        Self {
            table: table.unwrap(),
            creates: all.chunks_exact(usize::try_from(rows).unwrap()).map(<[Row]>::to_vec).collect(),
        }
    }

    /// What one create writes: the type of each row.
    pub(crate) fn rows(&self) -> String {
        let types = self.creates[0].iter().map(|row| {
            let Value::Text(text) = &row.rest[2] else { panic!("a type is text") };
            text.clone()
        });
        types.collect::<Vec<_>>().join(", ")
    }
}

/// A file to write them to.
#[derive(Debug)]
pub(crate) struct Raw<'a> {
    connection: Connection,
    creates: &'a Creates,
    written: usize,
}

impl<'a> Raw<'a> {
    /// Makes the file: the service's table and its settings of SQLite.
    pub(crate) fn make(file: &Path, creates: &'a Creates) -> Self {
        let connection = Connection::open(file).unwrap();
        let settings = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;
                        PRAGMA cache_size = -65536;";
        connection.execute_batch(settings).unwrap();
        connection.execute_batch(&creates.table).unwrap();
        Self { connection, creates, written: 0 }
    }

    /// Commits creates in groups of this size; answers how many a second.
    pub(crate) fn per_second(&mut self, group: usize, window: Duration) -> f64 {
        let (started, before) = (Instant::now(), self.written);
        while started.elapsed() < window {
            let transaction = self.connection.transaction().unwrap();
            let mut insert = transaction.prepare_cached(INSERT).unwrap();
            for _ in 0..group {
                let rows = &self.creates.creates[self.written % self.creates.creates.len()];
                for (row, first) in rows.iter().zip(&self.creates.creates[0]) {
                    let kept = &first.stream[..first.stream.len() - DIGITS];
                    let stream = format!("{kept}{:0DIGITS$}", self.written);
                    let [revision, id, kind, at, data, metadata, hash] = &row.rest;
                    insert.execute(params![stream, revision, id, kind, at, data, metadata, hash]).unwrap();
                }
                self.written += 1;
            }
            drop(insert);
            transaction.commit().unwrap();
        }
        (self.written - before) as f64 / started.elapsed().as_secs_f64()
    }
}
