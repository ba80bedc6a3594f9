//! What is asked of each event of an export before a log takes it: everything that the events tell by themselves,
//! whatever the log is kept in.

use std::collections::HashMap;

use thiserror::Error;

use crate::{
    envelope::{Digest, RecordedEvent},
    ids::{Position, Revision},
    stream::StreamName,
};

/// Why an event is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Its position is not after that of the event before it.
    #[error("the position is not after the one before it")]
    Position,
    /// Its position was never given.
    #[error("the position is beyond the head")]
    BeyondHead,
    /// Another revision of its stream should be here.
    #[error("the stream goes on with revision {0}")]
    Revision(Revision),
    /// Its stream keeps its last event only, and has one.
    #[error("the stream has one event only")]
    Surplus,
    /// No export holds such an event.
    #[error("no export holds such an event")]
    NotExported,
    /// Its bytes are not those that were appended.
    #[error("the bytes are not those that the hash was made of")]
    Altered,
    /// A server counts the events of a stream itself, and would have to be given too many before this one.
    #[error("a log on a server takes no stream whose first event has so high a revision")]
    Unreachable,
}

/// Where a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// The revision of its last event.
    pub revision: Revision,
    /// The hash of its last event.
    pub hash: Digest,
}

impl End {
    /// Where the stream of this event ends with it.
    #[must_use]
    pub fn at(event: &RecordedEvent) -> Self {
        Self { revision: event.revision, hash: event.hash }
    }
}

/// The check of one export, for whoever knows where the streams end.
#[derive(Debug)]
pub struct Check {
    head: Position,
    last: Position,
}

impl Check {
    /// Begins one; `head` is the highest position that was ever given in the log that was exported.
    #[must_use]
    pub fn new(head: Position) -> Self {
        Self { head, last: Position::START }
    }

    /// Checks the next event; `end` is where its stream ended before it.
    ///
    /// # Errors
    /// See [`Refusal`]. The check cannot go on after one.
    pub fn event(&mut self, event: &RecordedEvent, end: Option<End>) -> Result<(), Refusal> {
        self.check_place(event)?;
        event.check_hash(previous(event, end)?).map_err(|_| Refusal::Altered)?;
        self.last = event.position;
        Ok(())
    }

    fn check_place(&self, event: &RecordedEvent) -> Result<(), Refusal> {
        let is_sound = event.stream.kind().is_exported() && !event.event_type.starts_with('$');
        if !is_sound {
            Err(Refusal::NotExported)
        } else if event.position <= self.last {
            Err(Refusal::Position)
        } else if event.position > self.head {
            Err(Refusal::BeyondHead)
        } else if i64::try_from(event.revision.get()).is_err() {
            Err(Refusal::Altered)
        } else {
            Ok(())
        }
    }
}

/// Checks that the stream goes on with this event, and answers the hash that its own covers.
fn previous(event: &RecordedEvent, end: Option<End>) -> Result<Digest, Refusal> {
    let kind = event.stream.kind();
    if kind.keeps_last_only() {
        return if end.is_some() { Err(Refusal::Surplus) } else { Ok(Digest::ZERO) };
    }
    let next = end.map_or(Revision::FIRST, |end| end.revision.next());
    if event.revision != next {
        return Err(Refusal::Revision(next));
    }
    Ok(end.filter(|_| kind.is_chained()).map_or(Digest::ZERO, |end| end.hash))
}

/// The check of one export, which remembers itself where the streams end.
#[derive(Debug)]
pub struct Remembering {
    check: Check,
    ends: HashMap<StreamName, End>,
}

impl Remembering {
    /// See [`Check::new`].
    #[must_use]
    pub fn new(head: Position) -> Self {
        Self { check: Check::new(head), ends: HashMap::new() }
    }

    /// Checks the next event.
    ///
    /// # Errors
    /// As [`Check::event`].
    pub fn event(&mut self, event: &RecordedEvent) -> Result<(), Refusal> {
        self.check.event(event, self.ends.get(&event.stream).copied())?;
        self.ends.insert(event.stream.clone(), End::at(event));
        Ok(())
    }
}
