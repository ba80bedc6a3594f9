//! The walk over one range of positions.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{
    cache::{Cache, Key},
    is_damage,
    row::StoredRow,
};
use crate::{
    envelope::Digest,
    store::sqlite::reader::COLUMNS,
    stream::Kind,
    verify::{Finding, Seen, named_icon},
};

/// How many rows one read transaction looks at.
const PAGE: usize = 1_000;
const ZERO: [u8; 32] = [0; 32];

/// A walk with a connection of its own.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    connection: &'a Connection,
    cache: Cache,
    seen: Seen,
}

/// The event before one, as the index leads to it.
struct Before {
    position: i64,
    told: Option<[u8; 32]>,
    /// What its metadata ends with, which is another only when one of the two was altered.
    sealed: Option<[u8; 32]>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(connection: &'a Connection) -> Self {
        Self { connection, cache: Cache::new(), seen: Seen::default() }
    }

    /// Walks from after the first position to the second, and calls `pass` with the number of positions passed.
    pub(super) fn over(mut self, (after, to): (i64, i64), pass: &impl Fn(u64)) -> rusqlite::Result<Seen> {
        let mut after = after;
        loop {
            let from = after.max(0);
            match self.page(&mut after, to) {
                Ok(PAGE) => pass(after.max(0).abs_diff(from)),
                Ok(_) => break pass(to.max(0).abs_diff(from)),
                Err(error) if is_damage(&error) => {
                    self.seen.find(Finding::File(format!("what comes after position {after} cannot be read")));
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(self.seen)
    }

    fn page(&mut self, after: &mut i64, to: i64) -> rusqlite::Result<usize> {
        let sql = format!(
            "SELECT {COLUMNS} FROM events WHERE position > ?1 AND position <= ?2 ORDER BY position LIMIT {PAGE}"
        );
        let connection = self.connection;
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params![*after, to])?;
        let mut seen = 0;
        while let Some(row) = rows.next()? {
            seen += 1;
            *after = row.get(0)?;
            self.row(row)?;
        }
        Ok(seen)
    }

    fn row(&mut self, row: &Row<'_>) -> rusqlite::Result<()> {
        let Some((row, kind)) = StoredRow::of(row).and_then(|row| Some((row, row.kind()?))) else {
            self.seen.events += 1;
            let stream = row.get_ref(1)?.as_bytes().map(String::from_utf8_lossy).unwrap_or_default().into_owned();
            self.seen.find(Finding::Altered { stream, revision: row.get(2).unwrap_or_default() });
            return Ok(());
        };
        if row.position < 1 {
            self.seen.find(Finding::OutOfOrder { stream: row.stream.to_owned(), revision: row.revision });
        }
        if row.is_tombstone() { self.tombstone(&row, kind) } else { self.event(&row, kind) }
    }

    fn tombstone(&mut self, row: &StoredRow<'_>, kind: Kind) -> rusqlite::Result<()> {
        let may_end = match kind {
            Kind::Key | Kind::Icon => true,
            Kind::Integration | Kind::Slug | Kind::JanitorCheckpoint => false,
        };
        if !may_end || !row.is_whole_tombstone() {
            self.altered(row);
        }
        self.others_should_be_gone(row)
    }

    fn event(&mut self, row: &StoredRow<'_>, kind: Kind) -> rusqlite::Result<()> {
        self.seen.events += 1;
        if kind.keeps_last_only() {
            self.seen.streams += 1;
            self.others_should_be_gone(row)?;
            if !row.is_whole(&ZERO) {
                self.altered(row);
            }
            return Ok(());
        }
        self.seen.streams += u64::from(row.revision == 0);
        let key = self.cache.key(row.stream);
        let before = self.before(row, key)?;
        let previous = if kind.is_chained() { before } else { Some(ZERO) };
        let is_whole = match previous {
            Some(previous) => row.is_whole(&previous) || self.is_whole_by_the_index(row, kind)?,
            // It cannot be told without the event before it, which was found to be missing.
            None => true,
        };
        if !is_whole {
            self.altered(row);
        }
        // Most streams of other kinds have one event, and would take the place of those that have many.
        if let Some(hash) = row.told_hash().filter(|_| kind.is_chained()) {
            self.cache.put(key, row.revision, hash);
        }
        self.icon(row)
    }

    /// The hash of the event before this one in its stream, which is looked for; `None` when there is none to go by.
    fn before(&mut self, row: &StoredRow<'_>, key: Key) -> rusqlite::Result<Option<[u8; 32]>> {
        if row.revision == 0 {
            return Ok(Some(ZERO));
        }
        if let Some(hash) = self.cache.get(key, row.revision.wrapping_sub(1)) {
            return Ok(Some(hash));
        }
        let (stream, revision) = (row.stream, row.revision);
        match self.look_up(row)? {
            Some(before) => {
                if before.position > row.position {
                    self.seen.find(Finding::OutOfOrder { stream: stream.to_owned(), revision });
                }
                Ok(before.told.or(before.sealed))
            }
            None if revision < 0 => Ok(Some(ZERO)),
            None => {
                let sql = "SELECT max(revision) FROM events WHERE stream = ?1 AND revision < ?2";
                let mut statement = self.connection.prepare_cached(sql)?;
                let last: Option<i64> = statement.query_row(params![stream, revision], |row| row.get(0))?;
                let from = last.map_or(0, |last| last + 1);
                self.seen.find(Finding::Missing { stream: stream.to_owned(), from, to: revision - 1 });
                Ok(None)
            }
        }
    }

    fn look_up(&self, row: &StoredRow<'_>) -> rusqlite::Result<Option<Before>> {
        let sql = "SELECT position, hash, metadata FROM events WHERE stream = ?1 AND revision = ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let before = statement.query_row(params![row.stream, row.revision.wrapping_sub(1)], |row| {
            Ok(Before {
                position: row.get(0)?,
                told: row.get_ref(1)?.as_bytes().ok().and_then(decode),
                sealed: row.get_ref(2)?.as_bytes().ok().and_then(StoredRow::sealed_hash),
            })
        });
        before.optional()
    }

    /// Looks again without the cache, and with the hash that the metadata of the event before ends with: where only its
    /// other copy was altered, that event is to be told, and not this one too.
    fn is_whole_by_the_index(&self, row: &StoredRow<'_>, kind: Kind) -> rusqlite::Result<bool> {
        if !kind.is_chained() || row.revision == 0 {
            return Ok(false);
        }
        let before = self.look_up(row)?;
        let hashes = before.into_iter().flat_map(|before| [before.told, before.sealed]).flatten();
        Ok(hashes.into_iter().any(|hash| row.is_whole(&hash)))
    }

    /// Every other row of this one's stream should be gone.
    fn others_should_be_gone(&mut self, row: &StoredRow<'_>) -> rusqlite::Result<()> {
        let sql = "SELECT revision FROM events WHERE stream = ?1 AND revision <> ?2 LIMIT 10";
        let mut statement = self.connection.prepare_cached(sql)?;
        let others: Vec<i64> =
            statement.query_map(params![row.stream, row.revision], |row| row.get(0))?.collect::<Result<_, _>>()?;
        // The last one stays; a tombstone is one.
        let last = others.iter().copied().fold(row.revision, i64::max);
        for revision in others.into_iter().filter(|revision| *revision != last || row.is_tombstone()) {
            self.seen.find(Finding::Surplus { stream: row.stream.to_owned(), revision });
        }
        Ok(())
    }

    /// The bytes of the icon, where they are still there, must be those that the integration names.
    fn icon(&mut self, row: &StoredRow<'_>) -> rusqlite::Result<()> {
        let Some((stream, sha256)) = named_icon(row.stream, row.event_type, row.data) else {
            return Ok(());
        };
        let sql = "SELECT data FROM events WHERE stream = ?1 AND revision = 0 AND substr(type, 1, 1) <> '$'";
        let mut statement = self.connection.prepare_cached(sql)?;
        let digest =
            statement.query_row([&stream], |row| Ok(row.get_ref(0)?.as_bytes().ok().map(Digest::of))).optional()?;
        if digest.is_some_and(|digest| digest != Some(sha256)) {
            self.seen.find(Finding::Altered { stream, revision: 0 });
        }
        Ok(())
    }

    fn altered(&mut self, row: &StoredRow<'_>) {
        self.seen.find(Finding::Altered { stream: row.stream.to_owned(), revision: row.revision });
    }
}

fn decode(hex: &[u8]) -> Option<[u8; 32]> {
    Digest::parse(std::str::from_utf8(hex).ok()?).map(|digest| *digest.as_bytes())
}
