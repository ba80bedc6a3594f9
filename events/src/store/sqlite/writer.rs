//! The one thread that writes: takes whatever appends wait into one transaction, commits, answers.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};
use tokio::sync::{oneshot, watch};

use super::{
    super::{Appended, Cause, Error, ExpectedRevision, Health, StreamWrite},
    recent::Recent,
    schema,
};
use crate::{
    envelope::{Digest, NewEvent, RecordedEvent, new_event_id},
    ids::{Position, Revision},
    stream::StreamName,
    time::Timestamp,
};

/// The most appends that one transaction takes: enough to make the sync cheap, few enough to answer soon.
const GROUP_MAX: usize = 256;
/// How long what is due waits for its next try.
const RETRY: Duration = Duration::from_secs(1);
/// How long a truncating checkpoint waits for readers, once in [`RETRY`]: longer than a page takes to be read, so that
/// ever new readers cannot keep it from happening.
const PATIENCE: Duration = Duration::from_millis(50);
/// The type of the row that stays of a tombstoned stream.
pub(super) const TOMBSTONE: &str = "$tombstone";

/// Somebody's append, and where its answer goes.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) writes: Vec<StreamWrite>,
    pub(super) answer: oneshot::Sender<Result<Vec<Appended>, Error>>,
}

/// The state of the writing thread.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    connection: Connection,
    head: watch::Sender<Position>,
    health: watch::Sender<Health>,
    recent: Arc<Recent>,
    /// A deletion since the last truncating checkpoint: its bytes are still in the write-ahead log.
    truncation_is_due: bool,
    /// Under load no moment is idle: then it is tried at this time.
    truncation_at: Instant,
}

/// Why a group was not committed.
enum GroupError {
    /// Nothing of it was.
    NotDone(rusqlite::Error),
    /// Nobody knows.
    Unknown(rusqlite::Error),
}

impl Writer {
    pub(super) fn new(
        path: PathBuf,
        connection: Connection,
        head: watch::Sender<Position>,
        health: watch::Sender<Health>,
        recent: Arc<Recent>,
    ) -> Self {
        Self { path, connection, head, health, recent, truncation_is_due: true, truncation_at: Instant::now() }
    }

    /// Works until every sender is gone, or until it cannot tell any more what is durable.
    pub(super) fn run(mut self, queue: &Receiver<Job>) {
        while *self.health.borrow() != Health::Lost {
            if self.truncation_is_due && self.truncation_at <= Instant::now() {
                self.truncate(PATIENCE);
            }
            match self.wait(queue) {
                Ok(first) => {
                    let group = std::iter::once(first).chain(queue.try_iter()).take(GROUP_MAX).collect();
                    self.commit_group(group);
                }
                Err(RecvTimeoutError::Timeout) => self.retry_what_is_due(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn wait(&mut self, queue: &Receiver<Job>) -> Result<Job, RecvTimeoutError> {
        if let Ok(job) = queue.try_recv() {
            return Ok(job);
        }
        if self.truncation_is_due {
            self.truncate(Duration::ZERO);
        }
        if self.truncation_is_due || *self.health.borrow() == Health::Failing {
            queue.recv_timeout(RETRY)
        } else {
            queue.recv().map_err(|_| RecvTimeoutError::Disconnected)
        }
    }

    /// An idle store that failed tries by itself whether a commit works again: nobody may be sending it appends.
    fn retry_what_is_due(&mut self) {
        if *self.health.borrow() == Health::Failing
            && self.connection.pragma_update(None, "user_version", schema::FORMAT).is_ok()
        {
            self.health.send_replace(Health::Ready);
        }
    }

    fn truncate(&mut self, patience: Duration) {
        let done = self.connection.busy_timeout(patience).and_then(|()| schema::truncate_wal(&self.connection));
        let restored = self.connection.busy_timeout(Duration::from_secs(5));
        self.truncation_is_due = restored.is_err() || !done.unwrap_or(false);
        if !patience.is_zero() {
            self.truncation_at = Instant::now() + RETRY;
        }
    }

    fn commit_group(&mut self, group: Vec<Job>) {
        let (mut answers, writes): (Vec<_>, Vec<_>) = group.into_iter().map(|job| (job.answer, job.writes)).unzip();
        match self.write(&writes) {
            Ok(results) => {
                for (answer, result) in answers.drain(..).zip(results) {
                    // A caller that has gone away does not want to know.
                    let _ = answer.send(result);
                }
            }
            Err(GroupError::NotDone(error)) => self.fail(answers, &error, Error::Unavailable),
            Err(GroupError::Unknown(error)) => {
                self.fail(answers, &error, Error::OutcomeUnknown);
                self.reopen();
            }
        }
    }

    fn fail(
        &self,
        answers: Vec<oneshot::Sender<Result<Vec<Appended>, Error>>>,
        cause: &rusqlite::Error,
        kind: fn(Cause) -> Error,
    ) {
        tracing::error!(error = %cause, "the event log cannot be written");
        self.health.send_replace(Health::Failing);
        for answer in answers {
            let _ = answer.send(Err(kind(cause.to_string().into())));
        }
    }

    fn write(&mut self, group: &[Vec<StreamWrite>]) -> Result<Vec<Result<Vec<Appended>, Error>>, GroupError> {
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(GroupError::NotDone)?;
        let mut log = Log { transaction: &transaction, last: None, has_deleted: false, written: Vec::new() };
        let results = group.iter().map(|writes| log.write_all(writes)).collect::<rusqlite::Result<Vec<_>>>();
        let results = results.map_err(GroupError::NotDone)?;
        let (last, has_deleted, written) = (log.last, log.has_deleted, log.written);
        if let Some(last) = last {
            transaction.commit().map_err(GroupError::Unknown)?;
            self.truncation_is_due |= has_deleted;
            self.recent.add(written, last);
            self.head.send_replace(last);
            self.health.send_replace(Health::Ready);
        }
        Ok(results)
    }

    /// After an error at commit the page cache proves nothing: only what a fresh connection can bring from the
    /// write-ahead log into the file, synced, is known to be durable. The head does not move before that.
    fn reopen(&mut self) {
        match self.try_reopen() {
            Ok(head) => {
                self.recent.restart(head);
                self.head.send_replace(head);
            }
            Err(cause) => {
                tracing::error!(error = %cause, "the event log cannot be reopened after a failed commit");
                self.health.send_replace(Health::Lost);
            }
        }
    }

    fn try_reopen(&mut self) -> Result<Position, Cause> {
        let placeholder = Connection::open_in_memory()?;
        let failed = std::mem::replace(&mut self.connection, placeholder);
        failed.close().map_err(|(_, error)| error)?;
        self.connection = schema::open_writer(&self.path)?;
        if !schema::truncate_wal(&self.connection)? {
            return Err("a reader is in the way of the checkpoint".into());
        }
        Ok(schema::last_position(&self.connection)?)
    }
}

/// What one transaction has written so far.
struct Log<'a> {
    transaction: &'a Transaction<'a>,
    last: Option<Position>,
    has_deleted: bool,
    /// What followers will want to see of it.
    written: Vec<RecordedEvent>,
}

/// A stream's end.
struct End {
    revision: Revision,
    is_tombstone: bool,
    position: Position,
}

impl Log<'_> {
    /// All writes of one append or none: everything is checked before anything is written.
    fn write_all(&mut self, writes: &[StreamWrite]) -> rusqlite::Result<Result<Vec<Appended>, Error>> {
        let mut checked = Vec::with_capacity(writes.len());
        for write in writes {
            match self.check(write)? {
                Ok(standing) => checked.push((write, standing)),
                Err(refused) => return Ok(Err(refused)),
            }
        }
        let appended = checked.into_iter().map(|(write, standing)| match standing {
            Some(standing) => Ok(standing),
            None => self.write(write),
        });
        appended.collect::<rusqlite::Result<Vec<_>>>().map(Ok)
    }

    /// Where the write stands already, `None` when it is to be done, or why it is refused.
    fn check(&self, write: &StreamWrite) -> rusqlite::Result<Result<Option<Appended>, Error>> {
        let end = self.end(write.stream())?;
        let (stream, expected, events) = match write {
            StreamWrite::Tombstone { .. } => {
                let done = end.filter(|end| end.is_tombstone);
                return Ok(Ok(done.map(|end| Appended { revision: end.revision, position: end.position })));
            }
            StreamWrite::Append { stream, expected, events } => (stream, *expected, events),
        };
        if end.as_ref().is_some_and(|end| end.is_tombstone) {
            return Ok(Err(Error::Tombstoned { stream: stream.clone() }));
        }
        let actual = end.map(|end| end.revision);
        let wanted = match expected {
            ExpectedRevision::NoStream => None,
            ExpectedRevision::Exact(revision) => Some(revision),
        };
        if actual == wanted {
            return Ok(Ok(None));
        }
        let repeat = self.repeat(stream, expected.next(), events)?;
        Ok(repeat
            .map_or_else(|| Err(Error::WrongExpectedRevision { stream: stream.clone(), actual }), |at| Ok(Some(at))))
    }

    fn end(&self, stream: &StreamName) -> rusqlite::Result<Option<End>> {
        let sql = "SELECT revision, type, position FROM events WHERE stream = ?1 ORDER BY revision DESC LIMIT 1";
        let mut statement = self.transaction.prepare_cached(sql)?;
        let end = statement.query_row([stream.as_str()], |row| {
            Ok(End {
                revision: Revision::new(row.get::<_, i64>(0)?.unsigned_abs()),
                is_tombstone: row.get_ref(1)?.as_bytes()? == TOMBSTONE.as_bytes(),
                position: Position::new(row.get::<_, i64>(2)?.unsigned_abs()),
            })
        });
        end.optional()
    }

    fn repeat(&self, stream: &StreamName, first: Revision, events: &[NewEvent]) -> rusqlite::Result<Option<Appended>> {
        let sql = "SELECT id, position FROM events WHERE stream = ?1 AND revision = ?2";
        let mut statement = self.transaction.prepare_cached(sql)?;
        let mut standing = None;
        let mut revision = first;
        for event in events {
            let row: Option<(String, i64)> = statement
                .query_row(params![stream.as_str(), number(revision.get())], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            match row {
                Some((id, position)) if id == event.id.to_string() => {
                    standing = Some(Appended { revision, position: Position::new(position.unsigned_abs()) });
                }
                // In a stream that keeps its last event only, the earlier ones of the same append are gone.
                None if stream.kind().keeps_last_only() => {}
                Some(_) | None => return Ok(None),
            }
            revision = revision.next();
        }
        Ok(standing.filter(|at| at.revision.next() == revision))
    }

    fn write(&mut self, write: &StreamWrite) -> rusqlite::Result<Appended> {
        match write {
            StreamWrite::Append { stream, expected, events } => self.append(stream, expected.next(), events),
            StreamWrite::Tombstone { stream } => self.tombstone(stream),
        }
    }

    fn append(&mut self, stream: &StreamName, first: Revision, events: &[NewEvent]) -> rusqlite::Result<Appended> {
        let keeps_last_only = stream.kind().keeps_last_only();
        let mut revision = first;
        let mut appended = None;
        for event in events {
            if keeps_last_only {
                self.remove(stream)?;
            }
            let position = self.insert(stream, revision, event)?;
            appended = Some(Appended { revision, position });
            revision = revision.next();
        }
        appended.ok_or(rusqlite::Error::InvalidQuery)
    }

    fn tombstone(&mut self, stream: &StreamName) -> rusqlite::Result<Appended> {
        let revision = self.end(stream)?.map_or(Revision::FIRST, |end| end.revision.next());
        self.remove(stream)?;
        let row = NewEvent {
            id: new_event_id(),
            event_type: TOMBSTONE.to_owned(),
            at: now(),
            data: "{}".into(),
            metadata: "{}".into(),
            hash: Digest::ZERO,
        };
        let position = self.insert_text(stream, revision, &row)?;
        Ok(Appended { revision, position })
    }

    fn remove(&mut self, stream: &StreamName) -> rusqlite::Result<()> {
        let mut statement = self.transaction.prepare_cached("DELETE FROM events WHERE stream = ?1")?;
        self.has_deleted |= statement.execute([stream.as_str()])? > 0;
        Ok(())
    }

    fn insert(&mut self, stream: &StreamName, revision: Revision, event: &NewEvent) -> rusqlite::Result<Position> {
        if !stream.kind().holds_bytes() {
            return self.insert_text(stream, revision, event);
        }
        self.insert_row(stream, revision, event, &event.data.as_ref())
    }

    fn insert_text(&mut self, stream: &StreamName, revision: Revision, event: &NewEvent) -> rusqlite::Result<Position> {
        let data = utf8(&event.data)?;
        self.insert_row(stream, revision, event, &data)
    }

    fn insert_row(
        &mut self,
        stream: &StreamName,
        revision: Revision,
        event: &NewEvent,
        data: &dyn rusqlite::ToSql,
    ) -> rusqlite::Result<Position> {
        let sql = "INSERT INTO events (stream, revision, id, type, at, data, metadata, hash)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let metadata = utf8(&event.metadata)?;
        self.transaction.prepare_cached(sql)?.execute(params![
            stream.as_str(),
            number(revision.get()),
            event.id.to_string(),
            event.event_type,
            event.at.to_string(),
            data,
            metadata,
            event.hash.to_string(),
        ])?;
        let position = Position::new(self.transaction.last_insert_rowid().unsigned_abs());
        self.last = Some(position);
        if Recent::keeps(stream.kind()) {
            self.written.push(recorded(stream, revision, position, event));
        }
        Ok(position)
    }
}

fn recorded(stream: &StreamName, revision: Revision, position: Position, event: &NewEvent) -> RecordedEvent {
    let NewEvent { id, event_type, at, data, metadata, hash } = event.clone();
    RecordedEvent { position, stream: stream.clone(), revision, id, event_type, at, data, metadata, hash }
}

fn utf8(bytes: &[u8]) -> rusqlite::Result<&str> {
    std::str::from_utf8(bytes).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

/// SQLite's integers are signed; no log reaches 2^63 events.
pub(super) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[expect(clippy::disallowed_methods, reason = "the edge: a tombstone is the store's own row")]
fn now() -> Timestamp {
    Timestamp::new(chrono::Utc::now())
}
