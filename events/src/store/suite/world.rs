//! What a case works with: a store, and names that no other case uses.

use std::{any::Any, sync::Arc};

use bytes::Bytes;

use super::{Fixture, follower::Follower};
use crate::{
    envelope::{Digest, Metadata, NewEvent, Place, RecordedEvent, new_event_id},
    ids::{BlobId, IntegrationId, Position, Revision, TenantId},
    store::{
        Appended, Direction, Error, EventStore, ExpectedRevision, ExpectedRevision::Exact, ExpectedRevision::NoStream,
        StreamWrite,
    },
    stream::{Kind, StreamName},
    time::Timestamp,
};

/// A store that may be shared with other cases, and a tenant that is not.
#[derive(Debug, Clone)]
pub struct World {
    pub(super) store: Arc<dyn EventStore>,
    pub(super) tenant: TenantId,
    /// The head when the case began: what comes before is of no interest.
    pub(super) start: Position,
    _keep: Arc<dyn Any + Send + Sync>,
}

impl World {
    pub(super) fn new(fixture: Fixture) -> Self {
        let Fixture { store, keep } = fixture;
        let start = *store.head().borrow();
        Self { store, tenant: tenant(&format!("t-{}", new_event_id())), start, _keep: keep }
    }

    /// The name of a stream of this kind that never was.
    pub(super) fn stream(&self, kind: Kind) -> StreamName {
        let (tenant, id) = (&self.tenant, integration_id());
        match kind {
            Kind::Integration => StreamName::integration(tenant, id),
            Kind::Slug => StreamName::slug(tenant, &format!("s-{id}").parse().expect("a slug")),
            Kind::Key => StreamName::key(tenant, id),
            Kind::Icon => StreamName::icon(tenant, id, BlobId::new(new_event_id().uuid())),
            // There is one of them in a log, which cases that share a server cannot share.
            Kind::JanitorCheckpoint => named(&format!("janitor-checkpoint-{tenant}:{id}")),
        }
    }

    pub(super) fn integration(&self) -> StreamName {
        self.stream(Kind::Integration)
    }

    pub(super) fn key(&self) -> StreamName {
        self.stream(Kind::Key)
    }

    pub(super) fn is_mine(&self, event: &RecordedEvent) -> bool {
        event.stream.as_str().contains(self.tenant.as_str())
    }

    /// Appends so many new events, which must work.
    pub(super) async fn append(
        &self,
        stream: &StreamName,
        expected: ExpectedRevision,
        n: u64,
    ) -> (Vec<NewEvent>, Appended) {
        let events = events(stream, expected, n);
        let appended = self.send(stream, expected, &events).await.expect("the append works");
        (events, appended)
    }

    /// A stream with so many events.
    pub(super) async fn given(&self, kind: Kind, n: u64) -> (StreamName, Vec<NewEvent>) {
        let stream = self.stream(kind);
        let (events, _) = self.append(&stream, NoStream, n).await;
        (stream, events)
    }

    /// Appends these events to one stream.
    pub(super) async fn send(
        &self,
        stream: &StreamName,
        expected: ExpectedRevision,
        events: &[NewEvent],
    ) -> Result<Appended, Error> {
        self.write(vec![append(stream, expected, events)]).await.map(|appended| appended[0])
    }

    /// Does the writes, and checks that each is answered.
    pub(super) async fn write(&self, writes: Vec<StreamWrite>) -> Result<Vec<Appended>, Error> {
        let n_writes = writes.len();
        let appended = self.store.append(writes).await?;
        assert_eq!(appended.len(), n_writes, "each write is answered");
        Ok(appended)
    }

    /// Tombstones a stream, which must work.
    pub(super) async fn remove(&self, stream: &StreamName) -> Appended {
        self.write(vec![tombstone(stream)]).await.expect("a tombstone works")[0]
    }

    pub(super) async fn try_read(
        &self,
        stream: &StreamName,
        direction: Direction,
        max: usize,
    ) -> Result<Vec<RecordedEvent>, Error> {
        let events = self.store.read_stream(stream, direction, max).await?;
        assert!(events.len() <= max, "no more than was asked for");
        assert!(events.iter().all(|event| event.stream == *stream), "of this stream only");
        Ok(events)
    }

    /// All events of a stream, from the first on.
    pub(super) async fn read(&self, stream: &StreamName) -> Vec<RecordedEvent> {
        let forwards = Direction::ForwardsFrom(Revision::FIRST);
        self.try_read(stream, forwards, usize::MAX).await.expect("the stream can be read")
    }

    /// All events of a stream, from the last back.
    pub(super) async fn read_backwards(&self, stream: &StreamName) -> Vec<RecordedEvent> {
        self.try_read(stream, Direction::BackwardsFromEnd, usize::MAX).await.expect("the stream can be read")
    }

    /// This case's events of the whole log, page by page.
    pub(super) async fn read_all(&self, kinds: &[Kind], page: usize) -> Vec<RecordedEvent> {
        let (mut events, mut after) = (Vec::new(), self.start);
        loop {
            let page = self.store.read_all(after, kinds, page).await.expect("the log can be read");
            assert!(page.through >= after, "a page never goes back");
            assert!(page.is_last || page.through > after, "a page that is not the last goes on");
            after = page.through;
            events.extend(page.events.into_iter().filter(|event| self.is_mine(event)));
            if page.is_last {
                return events;
            }
        }
    }

    /// Follows the log from where the case began.
    pub(super) fn follow(&self, kinds: &[Kind]) -> Follower {
        self.follow_after(self.start, kinds)
    }

    pub(super) fn follow_after(&self, after: Position, kinds: &[Kind]) -> Follower {
        Follower::new(self.clone(), after, kinds)
    }
}

pub(super) fn integration_id() -> IntegrationId {
    IntegrationId::new(new_event_id().uuid()).expect("a version 7 UUID")
}

pub(super) fn tenant(text: &str) -> TenantId {
    TenantId::parse(text).expect("a tenant id")
}

pub(super) fn named(name: &str) -> StreamName {
    StreamName::parse(name).expect("a stream of a known kind")
}

pub(super) fn exact(revision: u64) -> ExpectedRevision {
    Exact(Revision::new(revision))
}

pub(super) fn from(revision: u64) -> Direction {
    Direction::ForwardsFrom(Revision::new(revision))
}

pub(super) fn append(stream: &StreamName, expected: ExpectedRevision, events: &[NewEvent]) -> StreamWrite {
    StreamWrite::Append { stream: stream.clone(), expected, events: events.to_vec() }
}

pub(super) fn tombstone(stream: &StreamName) -> StreamWrite {
    StreamWrite::Tombstone { stream: stream.clone() }
}

/// So many new events for a stream, sealed for their places.
pub(super) fn events(stream: &StreamName, expected: ExpectedRevision, n: u64) -> Vec<NewEvent> {
    let first = expected.next().get();
    let at = |revision: u64| event(stream, revision, format!(r#"{{"n":{revision}}}"#));
    (first..first + n).map(at).collect()
}

/// A new event with this data.
pub(super) fn event(stream: &StreamName, revision: u64, data: impl Into<Bytes>) -> NewEvent {
    let metadata = Metadata::of_service(None, time(revision));
    let place = Place { stream, revision: Revision::new(revision), previous: Digest::ZERO };
    NewEvent::seal(place, new_event_id(), "SomethingHappened.v1", data.into(), &metadata)
}

/// A time with milliseconds, another for each revision.
pub(super) fn time(revision: u64) -> Timestamp {
    let text = format!("\"2026-02-28T23:59:{:02}.{:03}Z\"", revision % 60, 1 + revision % 999);
    serde_json::from_str(&text).expect("an RFC 3339 time")
}

/// What was appended of what was recorded.
pub(super) fn contents(recorded: &[RecordedEvent]) -> Vec<NewEvent> {
    let content = |event: &RecordedEvent| NewEvent {
        id: event.id,
        event_type: event.event_type.clone(),
        at: event.at,
        data: event.data.clone(),
        metadata: event.metadata.clone(),
        hash: event.hash,
    };
    recorded.iter().map(content).collect()
}

pub(super) fn revisions(recorded: &[RecordedEvent]) -> Vec<u64> {
    recorded.iter().map(|event| event.revision.get()).collect()
}

/// The position of the event with which a stream ends.
pub(super) fn last_position(recorded: &[RecordedEvent]) -> Position {
    recorded.last().expect("there are events").position
}

#[track_caller]
pub(super) fn assert_rising(recorded: &[RecordedEvent]) {
    assert!(recorded.is_sorted_by(|a, b| a.position < b.position), "positions rise");
}

/// The events are those, in this order, and nothing else.
#[track_caller]
pub(super) fn assert_events(recorded: &[RecordedEvent], appended: &[NewEvent]) {
    assert_rising(recorded);
    assert_eq!(contents(recorded), appended);
}

/// The append was refused: the stream is at another revision.
#[track_caller]
pub(super) fn assert_wrong<T: std::fmt::Debug>(result: Result<T, Error>, at: &StreamName, revision: Option<u64>) {
    match result {
        Err(Error::WrongExpectedRevision { stream, actual }) => {
            assert_eq!((&stream, actual), (at, revision.map(Revision::new)));
        }
        other => panic!("{at} is at {revision:?}, and the append to it was answered {other:?}"),
    }
}

/// It was refused: the stream was removed for good.
#[track_caller]
pub(super) fn assert_tombstoned<T: std::fmt::Debug>(result: Result<T, Error>, removed: &StreamName) {
    match result {
        Err(Error::Tombstoned { stream }) => assert_eq!(&stream, removed),
        other => panic!("{removed} is tombstoned, and the answer was {other:?}"),
    }
}
