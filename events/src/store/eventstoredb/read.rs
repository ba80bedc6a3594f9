//! Reading: pages of a stream and of the whole log, without what the server keeps though it was removed.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::Instant;
use tonic::Status;
use uuid::Uuid;

use super::{
    calls::{Calls, Found},
    event::{position_of, recorded, stream_of},
    failure::{Failure, PAUSE_MIN},
    supervisor::Supervisor,
    wire::{Empty, ReadDirection, StreamFrom, WireEvent},
};
use crate::{
    backoff::Backoff,
    envelope::RecordedEvent,
    ids::{EventId, Position, Revision},
    store::{Damaged, Direction, Error, Page},
    stream::{Kind, StreamName},
};

/// How many events of the whole log are asked for at once.
const PAGE_EVENTS: usize = 1_000;
/// How many streams are looked at at once.
const LOOKS_MAX: usize = 32;
/// Beyond the last revision of every stream: who reads from there is told where the stream ends, and no event.
const BEYOND: u64 = i64::MAX as u64 - 1;
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// Whoever reads.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    supervisor: Arc<Supervisor>,
}

/// Where an event stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct PlaceOf {
    pub(super) id: EventId,
    pub(super) revision: Revision,
    pub(super) position: Position,
}

/// An event of interest, or that it is damaged.
pub(super) type Read = Result<RecordedEvent, Damaged>;

impl Reader {
    pub(super) fn new(supervisor: Arc<Supervisor>) -> Self {
        Self { supervisor }
    }

    pub(super) async fn read_stream(
        &self,
        stream: &StreamName,
        direction: Direction,
        max: usize,
    ) -> Result<Vec<RecordedEvent>, Error> {
        let events = self.wire_events(stream, direction, max).await?;
        Ok(events.into_iter().map(|event| recorded(stream.clone(), event)).collect::<Result<_, _>>()?)
    }

    /// Where events stand, whatever they hold.
    pub(super) async fn places(
        &self,
        stream: &StreamName,
        direction: Direction,
        max: usize,
    ) -> Result<Vec<PlaceOf>, Error> {
        let place = |event: WireEvent| {
            let id = event.id.as_ref().and_then(|id| id.text.parse::<Uuid>().ok());
            let id = EventId::new(id.ok_or_else(|| Error::Corrupt("an event's id is no UUID".into()))?);
            Ok(PlaceOf { id, revision: Revision::new(event.revision), position: position_of(&event) })
        };
        self.wire_events(stream, direction, max).await?.into_iter().map(place).collect()
    }

    async fn wire_events(
        &self,
        stream: &StreamName,
        direction: Direction,
        max: usize,
    ) -> Result<Vec<WireEvent>, Error> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let max = u64::try_from(max).unwrap_or(u64::MAX);
        // The last event is all that a last-only stream has, and a read from the end can meet no gap before it.
        let (from, way, max, least) = match direction {
            Direction::ForwardsFrom(least) if stream.kind().keeps_last_only() => {
                (StreamFrom::End(Empty {}), ReadDirection::Backwards, 1, least)
            }
            Direction::ForwardsFrom(first) => {
                (StreamFrom::Revision(first.get()), ReadDirection::Forwards, max, Revision::FIRST)
            }
            Direction::BackwardsFromEnd => {
                let max = if stream.kind().keeps_last_only() { 1 } else { max };
                (StreamFrom::End(Empty {}), ReadDirection::Backwards, max, Revision::FIRST)
            }
        };
        let found = self.call(stream, |calls| async move { calls.read_stream(stream, from, way, max).await }).await?;
        Ok(match found {
            Found::NotFound => Vec::new(),
            Found::Events(events, _) => events.into_iter().filter(|event| event.revision >= least.get()).collect(),
        })
    }

    /// The position of a stream's tombstone.
    pub(super) async fn tombstone(&self, stream: &StreamName) -> Result<Position, Error> {
        let last = self.call(stream, |calls| async move { calls.last_of(stream).await }).await?;
        last.map(|event| position_of(&event)).ok_or_else(|| Error::Corrupt("a tombstone is not in the log".into()))
    }

    pub(super) async fn read_all(&self, after: Position, kinds: &[Kind], max: usize) -> Result<Page, Error> {
        let wanted = max.min(PAGE_EVENTS);
        // What stands at the position itself comes first, if anything does, and was read before.
        let is_wanted = |event: &WireEvent| stream_of(event).is_some_and(|stream| kinds.contains(&stream.kind()));
        let read = |calls: Calls| async move { calls.read_all(after, wanted as u64 + 1, is_wanted).await };
        let mut looked_at = self.retry(read).await.map_err(|failure| Error::Unavailable(failure.cause()))?;
        looked_at.retain(|event| position_of(event) > after);
        looked_at.truncate(wanted);
        let is_last = looked_at.len() < wanted;
        let through = looked_at.last().map_or(after, position_of);
        let mut page = Page { events: Vec::new(), through, is_last };
        for read in self.of_interest(looked_at, kinds).await? {
            match read {
                Ok(event) => page.events.push(event),
                // Whatever comes before it is answered first.
                Err(damaged) => {
                    let before = page.events.last().map(|event| event.position);
                    let through = before.ok_or(damaged)?;
                    return Ok(Page { events: page.events, through, is_last: false });
                }
            }
        }
        Ok(page)
    }

    /// The events of some kinds behind a position; fewer than `max` only where the log ends.
    pub(super) async fn read_kinds(
        &self,
        calls: &Calls,
        after: Position,
        kinds: &[Kind],
        max: usize,
    ) -> Result<Vec<WireEvent>, Failure> {
        let mut events = calls.read_kinds(after, kinds, max as u64 + 1).await?;
        events.retain(|event| position_of(event) > after);
        events.truncate(max);
        Ok(events)
    }

    /// Those of some kinds which are still there for whoever reads their streams. The server shows the whole log as it
    /// was written until it is scavenged.
    pub(super) async fn of_interest(&self, events: Vec<WireEvent>, kinds: &[Kind]) -> Result<Vec<Read>, Error> {
        let named = events.into_iter().filter_map(|event| Some((stream_of(&event)?, event)));
        let named: Vec<_> = named.filter(|(stream, _)| kinds.contains(&stream.kind())).collect();
        let ends = self.ends(&named).await?;
        let is_there = |(stream, event): &(StreamName, WireEvent)| match ends.get(stream) {
            None => true,
            Some(None) => false,
            Some(Some(end)) => !stream.kind().keeps_last_only() || event.revision >= end.get(),
        };
        Ok(named.into_iter().filter(is_there).map(|(stream, event)| recorded(stream, event)).collect())
    }

    /// The last revision of each stream whose events may have been removed; `None` where it was tombstoned.
    async fn ends(&self, events: &[(StreamName, WireEvent)]) -> Result<HashMap<StreamName, Option<Revision>>, Error> {
        let removable = events.iter().filter(|(stream, _)| stream.kind().is_removable());
        let streams: HashMap<StreamName, ()> = removable.map(|(stream, _)| (stream.clone(), ())).collect();
        let ends = streams.into_keys().map(|stream| async move {
            let end = self.end(&stream).await?;
            Ok((stream, end))
        });
        stream::iter(ends).buffer_unordered(LOOKS_MAX).try_collect().await
    }

    async fn end(&self, stream: &StreamName) -> Result<Option<Revision>, Error> {
        let beyond = |calls: Calls| async move {
            calls.read_stream(stream, StreamFrom::Revision(BEYOND), ReadDirection::Forwards, 1).await
        };
        match self.call(stream, beyond).await {
            Err(Error::Tombstoned { .. }) | Ok(Found::NotFound) => Ok(None),
            Ok(Found::Events(_, Some(last))) => Ok(Some(last)),
            // A server that does not tell it: the last event does.
            Ok(Found::Events(_, None)) => {
                let last = self.wire_events(stream, Direction::BackwardsFromEnd, 1).await?;
                Ok(last.first().map(|event| Revision::new(event.revision)))
            }
            Err(error) => Err(error),
        }
    }

    async fn call<T, C>(&self, stream: &StreamName, call: impl Fn(Calls) -> C) -> Result<T, Error>
    where
        C: Future<Output = Result<T, Status>>,
    {
        self.retry(call).await.map_err(|failure| match failure {
            Failure::Deleted => Error::Tombstoned { stream: stream.clone() },
            Failure::Conflict
            | Failure::Refused(_)
            | Failure::Away(_)
            | Failure::Busy(_)
            | Failure::Bystander(_)
            | Failure::Server(_)
            | Failure::Client(_)
            | Failure::NotLeader(..) => Error::Unavailable(failure.cause()),
        })
    }

    /// Reads again while the server or the way to it fails.
    async fn retry<T, C>(&self, call: impl Fn(Calls) -> C) -> Result<T, Failure>
    where
        C: Future<Output = Result<T, Status>>,
    {
        let (deadline, mut backoff) = (Instant::now() + PATIENCE, Backoff::new(PAUSE_MIN, PAUSE_MAX));
        loop {
            let link = self.supervisor.link().await?;
            let failure = match call(link.calls.clone()).await {
                Ok(value) => {
                    link.clear();
                    return Ok(value);
                }
                Err(status) => Failure::from(status),
            };
            self.supervisor.note(&link, &failure);
            if failure.is_final() || Instant::now() >= deadline {
                return Err(failure);
            }
            tokio::time::sleep(backoff.pause()).await;
        }
    }
}

/// The position of an event that was read, damaged or not.
pub(super) fn position_of_read(read: &Read) -> Position {
    match read {
        Ok(event) => event.position,
        Err(damaged) => damaged.position,
    }
}

/// An event as it comes, if it is of interest.
pub(super) fn live(wire: WireEvent, kinds: &[Kind]) -> Option<Read> {
    let stream = stream_of(&wire).filter(|stream| kinds.contains(&stream.kind()))?;
    Some(recorded(stream, wire))
}
