//! An import through the port, into a log that gives events positions of its own: every event of an export is appended
//! in the export's order, byte for byte, at the revision that it had.
//!
//! One append is answered before the next is sent, so that the log is a beginning of the export at every moment. So an
//! import that was cut off is run again: what stands there already is compared with the export, event by event, before
//! anything is written, and the rest follows.
//!
//! A data key that was wrapped anew stands in an export alone, at the revision that it had, and its hash covers that. A
//! server counts from 0. So the revisions before it are filled with the same wrap, sealed for its place, under ids that
//! tell it; nobody who reads the log sees one once the next is there.

use std::collections::VecDeque;

use thiserror::Error;

use super::{EventStore, ExpectedRevision, StreamWrite, check::Refusal};
use crate::{
    envelope::{Digest, NewEvent, Place, RecordedEvent},
    ids::{EventId, Position, Revision},
    stream::{Kind, StreamName},
};

/// What is compared: all that an export holds. What a follower has noted of itself is nothing of the log's.
const KINDS: [Kind; 4] = [Kind::Integration, Kind::Slug, Kind::Key, Kind::Icon];
/// How many events are looked at at once: icons, of up to 512 KiB each, may come in a row.
const PAGE: usize = 250;
/// How many events, and about how many bytes, go into one append: a server takes no more than 1 MiB.
const WRITE_EVENTS_MAX: usize = 100;
const WRITE_BYTES_MAX: usize = 256 * 1_024;
/// How often a data key may have been wrapped: more is no log of this service, and would fill a disk.
const FILLED_MAX: u64 = 100_000;

/// Why an import does not go on.
#[derive(Debug, Error)]
pub enum Error {
    /// The log is not a beginning of the export. Nothing was written.
    #[error(
        "the event log is neither empty nor a beginning of this export, which has not event {revision} of stream \
         {stream} at this place"
    )]
    AnotherLog {
        /// The stream of the first event that is not the export's.
        stream: StreamName,
        /// Its revision.
        revision: Revision,
    },
    /// The store failed, or somebody else has written.
    #[error(transparent)]
    Store(#[from] super::Error),
}

/// Refuses what the events alone do not forbid and a server does not take.
///
/// # Errors
/// [`Refusal::Unreachable`].
pub fn check(event: &RecordedEvent) -> Result<(), Refusal> {
    let is_far = event.stream.kind().keeps_last_only() && event.revision.get() > FILLED_MAX;
    if is_far { Err(Refusal::Unreachable) } else { Ok(()) }
}

/// An import. Whatever it is given was checked before.
#[derive(Debug)]
pub struct Import<'a> {
    store: &'a dyn EventStore,
    /// What was read of the log and is not compared yet.
    standing: VecDeque<RecordedEvent>,
    /// Up to where it was read, and whether that is its end.
    read: Position,
    is_read: bool,
    /// What is to be appended next, to one stream.
    next: Option<Next>,
    head: Position,
}

#[derive(Debug)]
struct Next {
    stream: StreamName,
    expected: ExpectedRevision,
    events: Vec<NewEvent>,
    bytes: usize,
}

impl<'a> Import<'a> {
    /// Begins one.
    #[must_use]
    pub fn new(store: &'a dyn EventStore) -> Self {
        let (standing, read) = (VecDeque::new(), Position::START);
        Self { store, standing, read, is_read: false, next: None, head: Position::START }
    }

    /// Takes the next event of the export: compares it with what stands there, or appends it, perhaps together with those
    /// that follow.
    ///
    /// # Errors
    /// See [`enum@Error`]. The import cannot go on after one; another one can.
    pub async fn add(&mut self, event: &RecordedEvent) -> Result<(), Error> {
        let Some(standing) = self.standing().await? else { return self.append(event, None).await };
        self.head = standing.position;
        if is_same(&standing, event) {
            return Ok(());
        }
        if !is_filled(&standing, event) {
            return Err(another(standing));
        }
        // It was cut off on the way to this event: there is nothing behind.
        match self.standing().await? {
            Some(behind) => Err(another(behind)),
            None => self.append(event, Some(standing.revision)).await,
        }
    }

    /// Ends it, and answers the position of the last event.
    ///
    /// # Errors
    /// As [`Import::add`].
    pub async fn finish(mut self) -> Result<Position, Error> {
        self.flush().await?;
        if !self.is_read || !self.standing.is_empty() {
            // All of the export stands there: is there more?
            if let Some(more) = self.standing().await? {
                return Err(another(more));
            }
        }
        Ok(self.head)
    }

    /// The next event that stands in the log.
    async fn standing(&mut self) -> Result<Option<RecordedEvent>, Error> {
        while self.standing.is_empty() && !self.is_read {
            match self.store.read_all(self.read, &KINDS, PAGE).await {
                Ok(page) => {
                    self.standing.extend(page.events);
                    (self.read, self.is_read) = (page.through, page.is_last);
                }
                Err(super::Error::Damaged(damaged)) => {
                    return Err(Error::AnotherLog { stream: damaged.stream, revision: damaged.revision });
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(self.standing.pop_front())
    }

    /// Appends an event, and before it what must be there for it; `last` is the revision that is there.
    async fn append(&mut self, event: &RecordedEvent, last: Option<Revision>) -> Result<(), Error> {
        if event.stream.kind().keeps_last_only() {
            let mut revision = last.map_or(Revision::FIRST, Revision::next);
            while revision < event.revision {
                self.push(&event.stream, revision, filled(event, revision)).await?;
                revision = revision.next();
            }
        }
        let RecordedEvent { id, at, hash, .. } = *event;
        let (event_type, data, metadata) = (event.event_type.clone(), event.data.clone(), event.metadata.clone());
        self.push(&event.stream, event.revision, NewEvent { id, event_type, at, data, metadata, hash }).await
    }

    /// Puts an event to those that are appended together, or appends those first.
    async fn push(&mut self, stream: &StreamName, revision: Revision, event: NewEvent) -> Result<(), Error> {
        let bytes = event.data.len() + event.metadata.len();
        if let Some(next) = self.next.as_mut().filter(|next| next.stream == *stream) {
            let has_room = next.events.len() < WRITE_EVENTS_MAX && next.bytes + bytes <= WRITE_BYTES_MAX;
            if has_room {
                next.events.push(event);
                next.bytes += bytes;
                return Ok(());
            }
        }
        self.flush().await?;
        let expected = match revision.get().checked_sub(1) {
            Some(before) => ExpectedRevision::Exact(Revision::new(before)),
            None => ExpectedRevision::NoStream,
        };
        self.next = Some(Next { stream: stream.clone(), expected, events: vec![event], bytes });
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Error> {
        let Some(Next { stream, expected, events, .. }) = self.next.take() else { return Ok(()) };
        let appended = self.store.append(vec![StreamWrite::Append { stream, expected, events }]).await?;
        self.head = appended.last().map_or(self.head, |appended| appended.position);
        Ok(())
    }
}

fn another(event: RecordedEvent) -> Error {
    Error::AnotherLog { stream: event.stream, revision: event.revision }
}

/// Whether they are the same but for their positions.
fn is_same(standing: &RecordedEvent, event: &RecordedEvent) -> bool {
    RecordedEvent { position: event.position, ..standing.clone() } == *event
}

/// Whether the one that stands there fills a revision before the event.
fn is_filled(standing: &RecordedEvent, event: &RecordedEvent) -> bool {
    let is_before = standing.stream == event.stream && standing.revision < event.revision;
    is_before && event.stream.kind().keeps_last_only() && {
        let filled = filled(event, standing.revision);
        (filled.id, &filled.data, &filled.metadata) == (standing.id, &standing.data, &standing.metadata)
    }
}

/// What fills a revision before an event: the same, sealed for that place, with an id that is always the same.
fn filled(event: &RecordedEvent, revision: Revision) -> NewEvent {
    let name = format!("{} {} {revision}", event.stream, event.id);
    let id = EventId::new(Digest::of(name.as_bytes()).uuid());
    let place = Place { stream: &event.stream, revision, previous: Digest::ZERO };
    // It was checked: there is room for a hash.
    let unhashed = event.unhashed().unwrap_or_default().to_vec();
    NewEvent::seal_text(place, id, &event.event_type, event.data.clone(), event.at, unhashed)
}
