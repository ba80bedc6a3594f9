//! Where a reader of the log stands, and whether the log is the one that it has read: one that was put back from an older copy
//! goes on with other events at the same places.

use std::time::Duration;

use events::{
    envelope::RecordedEvent,
    ids::{EventId, Position, Revision},
    store::{Direction, Error, EventStore, Message},
    stream::StreamName,
};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

/// How long it is waited for a log to come to where its reader stands: a follower may be a moment behind the one before.
const HEAD_MAX: Duration = Duration::from_secs(2);

/// The last event that was read, by which the log is known again. Kept beside the position, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LastRead {
    /// Its stream.
    pub stream: StreamName,
    /// Its place in the stream.
    pub revision: Revision,
    /// Its id.
    pub id: EventId,
    /// Its place in the log.
    pub position: Position,
}

impl LastRead {
    pub(crate) fn of(event: &RecordedEvent) -> Self {
        Self { stream: event.stream.clone(), revision: event.revision, id: event.id, position: event.position }
    }

    /// Where a log has it; `None` for another log. What is damaged cannot tell, and is taken for it.
    pub(crate) async fn find(&self, events: &dyn EventStore) -> Result<Option<Position>, Error> {
        let _ = timeout(HEAD_MAX, events.head().wait_for(|head| *head >= self.position)).await;
        match events.read_stream(&self.stream, Direction::ForwardsFrom(self.revision), 1).await {
            Ok(found) => Ok(found.first().filter(|event| event.id == self.id).map(|event| event.position)),
            Err(Error::Damaged(damaged)) if damaged.position == self.position => Ok(Some(self.position)),
            Err(error) => Err(error),
        }
    }
}

/// Where to follow the log from, to go on behind a position: between the last event and that there is nothing, and what comes
/// from there is of another log.
pub(crate) fn since(last: Option<&LastRead>, position: Position) -> Position {
    last.map_or(position, |last| last.position.min(position))
}

/// Whether it is of a place that was come past.
pub(crate) fn is_passed(message: &Message, position: Position) -> bool {
    match message {
        Message::Events(events) => events.first().is_some_and(|first| first.position <= position),
        Message::Damaged(damaged) => damaged.position <= position,
        Message::Checkpoint(through) => *through <= position,
        Message::CaughtUp => false,
    }
}
