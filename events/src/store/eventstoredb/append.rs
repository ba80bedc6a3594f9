//! One write: an append, its confirmation where the answer does not say enough, or a tombstone.

use std::{sync::Arc, time::Duration};

use eventstore::EventData;
use tokio::time::{Instant, timeout};

use super::{
    event,
    failure::{Failure, PAUSE_MIN},
    position,
    read::Reader,
    session::{Lane, Sent, unfinished},
    supervisor::Supervisor,
    wire::WirePosition,
};
use crate::{
    backoff::Backoff,
    envelope::{Digest, NewEvent},
    ids::{Position, Revision},
    store::{Appended, Direction, Error, ExpectedRevision, StreamWrite},
    stream::{Kind, StreamName},
};

/// What the name of a stream's metadata begins with.
const METASTREAM: &str = "$$";
/// The revision of a tombstone on the server.
const TOMBSTONE_REVISION: Revision = Revision::new(i64::MAX as u64);
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// Whoever writes.
#[derive(Debug)]
pub(super) struct Writer {
    supervisor: Arc<Supervisor>,
    reader: Reader,
    /// Streams that one process at a time writes, for the most part.
    quiet: Lane,
    /// Streams that several processes want at once: a conflict ends the session of all who are in it.
    contested: Lane,
}

impl Writer {
    pub(super) fn new(supervisor: Arc<Supervisor>, reader: Reader) -> Self {
        let lane = || Lane::new(Arc::clone(&supervisor));
        Self { quiet: lane(), contested: lane(), supervisor, reader }
    }

    pub(super) async fn write(&self, write: &StreamWrite) -> Result<Appended, Error> {
        let appended = match write {
            StreamWrite::Append { stream, expected, events } => self.append(stream, *expected, events).await?,
            StreamWrite::Tombstone { stream } => self.tombstone(stream).await?,
        };
        self.supervisor.reach(appended.position);
        Ok(appended)
    }

    fn lane(&self, kind: Kind) -> &Lane {
        match kind {
            Kind::Slug | Kind::Key | Kind::JanitorCheckpoint => &self.contested,
            Kind::Integration | Kind::Icon => &self.quiet,
        }
    }

    async fn append(
        &self,
        stream: &StreamName,
        expected: ExpectedRevision,
        events: &[NewEvent],
    ) -> Result<Appended, Error> {
        if stream.kind().keeps_last_only() && expected == ExpectedRevision::NoStream {
            self.keep_last_only(stream).await?;
        }
        let proposed: Vec<_> = events.iter().map(|new| event::proposed(stream, new)).collect();
        let before = *self.supervisor.head().borrow();
        match self.lane(stream.kind()).send(stream.as_str(), on_server(expected), &proposed).await? {
            Sent::Deleted => Err(Error::Tombstoned { stream: stream.clone() }),
            Sent::Conflict => self.confirm(stream, expected, events).await,
            Sent::Done(result) => {
                // The position of one new event is told. That of a repeat may not be, nor which of several it is.
                let told = result.current_position().map(|told| of_crate(&told));
                match told.filter(|position| events.len() == 1 && *position > before) {
                    Some(position) => Ok(Appended { revision: expected.next(), position }),
                    None => self.confirm(stream, expected, events).await,
                }
            }
        }
    }

    /// Looks whether the events stand where they should, and where that is. Nobody who asks this knows yet whether he
    /// has written.
    async fn confirm(
        &self,
        stream: &StreamName,
        expected: ExpectedRevision,
        events: &[NewEvent],
    ) -> Result<Appended, Error> {
        self.look(stream, expected, events).await.map_err(|error| match error {
            Error::Unavailable(cause) => Error::OutcomeUnknown(cause),
            Error::WrongExpectedRevision { .. }
            | Error::Tombstoned { .. }
            | Error::OutcomeUnknown(_)
            | Error::Damaged(_)
            | Error::Corrupt(_) => error,
        })
    }

    async fn look(
        &self,
        stream: &StreamName,
        expected: ExpectedRevision,
        events: &[NewEvent],
    ) -> Result<Appended, Error> {
        let first = expected.next();
        // Of a stream that keeps its last event only, that one must be the last of these.
        let wanted = if stream.kind().keeps_last_only() { events.len().saturating_sub(1) } else { 0 };
        let from = Revision::new(first.get() + wanted as u64);
        let standing = self.reader.places(stream, Direction::ForwardsFrom(from), events.len() - wanted).await?;
        let ids = events[wanted..].iter().map(|event| event.id);
        let is_there = standing.iter().map(|place| place.id).eq(ids);
        match standing.last() {
            Some(last) if is_there && standing[0].revision == from => {
                Ok(Appended { revision: last.revision, position: last.position })
            }
            _ => {
                let end = self.reader.places(stream, Direction::BackwardsFromEnd, 1).await?;
                let actual = end.first().map(|place| place.revision);
                Err(Error::WrongExpectedRevision { stream: stream.clone(), actual })
            }
        }
    }

    /// Tells the server, before the first event, that the stream shows its last event only. Every process says so with
    /// the same id, so that the second time is a repeat.
    async fn keep_last_only(&self, stream: &StreamName) -> Result<(), Error> {
        let metastream = format!("{METASTREAM}{stream}");
        let id = Digest::of(metastream.as_bytes()).uuid();
        let metadata = EventData::json("$metadata", &serde_json::json!({ "$maxCount": 1 }))
            .map_err(|error| Error::Unavailable(error.into()))?
            .id(id);
        match self.contested.send(&metastream, eventstore::ExpectedRevision::NoStream, &[metadata]).await {
            // Who has set something else has done so on purpose; what is read is the last event in any case.
            Ok(Sent::Done(_) | Sent::Conflict) => Ok(()),
            Ok(Sent::Deleted) => Err(Error::Tombstoned { stream: stream.clone() }),
            // The events themselves were not sent.
            Err(Error::OutcomeUnknown(cause)) => Err(Error::Unavailable(cause)),
            Err(error) => Err(error),
        }
    }

    async fn tombstone(&self, stream: &StreamName) -> Result<Appended, Error> {
        let (deadline, mut backoff) = (Instant::now() + PATIENCE, Backoff::new(PAUSE_MIN, PAUSE_MAX));
        let mut may_be_done = false;
        loop {
            let failure = match self.try_tombstone(stream).await {
                Ok(Some(position)) => return Ok(Appended { revision: TOMBSTONE_REVISION, position }),
                // It was there already, or the server does not say where it is.
                Ok(None) | Err(Failure::Deleted) => {
                    let position = self.reader.tombstone(stream).await?;
                    return Ok(Appended { revision: TOMBSTONE_REVISION, position });
                }
                Err(failure) => failure,
            };
            may_be_done |= failure.may_be_done();
            if failure.is_final() || Instant::now() >= deadline {
                return Err(unfinished(may_be_done, failure.cause()));
            }
            tokio::time::sleep(backoff.pause()).await;
        }
    }

    async fn try_tombstone(&self, stream: &StreamName) -> Result<Option<Position>, Failure> {
        let link = self.supervisor.link().await?;
        let called = timeout(CALL_TIMEOUT, link.tombstone(stream)).await;
        let answer = called.map_err(|_| Failure::Server("a tombstone was not answered".into()));
        let answer = answer.and_then(|answer| answer.map_err(Failure::from));
        match &answer {
            Ok(_) => link.clear(),
            Err(failure) => self.supervisor.note(&link, failure),
        }
        Ok(answer?.map(|position| of_crate(&position)))
    }
}

fn on_server(expected: ExpectedRevision) -> eventstore::ExpectedRevision {
    match expected {
        ExpectedRevision::NoStream => eventstore::ExpectedRevision::NoStream,
        ExpectedRevision::Exact(revision) => eventstore::ExpectedRevision::Exact(revision.get()),
    }
}

fn of_crate(position: &eventstore::Position) -> Position {
    position::to_port(WirePosition { commit: position.commit, prepare: position.prepare })
}
