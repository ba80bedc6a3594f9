//! What an export holds of a log that is read through the port: one moment of it, though others go on writing.
//!
//! Integrations, slugs and icons stand in it as they do in the log, with their positions. Data keys do not: a key that is
//! wrapped anew while the export runs is gone from where it stood, and stands beyond the end of the export. So the key of
//! each integration is asked for when its first event comes, as it is then, and stands right before that event, at a
//! position that no event has. Every key that an exported event needs was written before that event, hence before the
//! moment of the export: what is not there any more was destroyed.

use std::{collections::HashMap, sync::Arc};

use super::{
    Direction, Error, EventStore,
    walk::{Walk, look_at},
};
use crate::{
    envelope::RecordedEvent,
    ids::{Position, Revision},
    stream::{Kind, StreamName},
};

/// What is met on the way; keys are asked for.
const KINDS: [Kind; 3] = [Kind::Integration, Kind::Slug, Kind::Icon];

/// An export of a log.
#[derive(Debug)]
pub struct Export<'a> {
    store: &'a Arc<dyn EventStore>,
    walk: Walk<'a>,
    /// The position of the last event.
    last: Position,
}

impl<'a> Export<'a> {
    /// Begins one, of the log up to its head as it is known now.
    #[must_use]
    pub fn new(store: &'a Arc<dyn EventStore>) -> Self {
        Self { store, walk: Walk::new(&**store, &KINDS), last: Position::START }
    }

    /// The position up to which it goes.
    #[must_use]
    pub fn head(&self) -> Position {
        self.walk.head()
    }

    /// The next events in the order of their positions, perhaps none; `None` at the end.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Damaged`], [`Error::Corrupt`].
    pub async fn next(&mut self) -> Result<Option<Vec<RecordedEvent>>, Error> {
        let Some(page) = self.walk.next().await? else { return Ok(None) };
        let page = page.into_iter().collect::<Result<Vec<_>, _>>()?;
        let mut keys = self.keys(&page).await?;
        let mut events = Vec::with_capacity(page.len() + keys.len());
        for event in page {
            if let Some(key) = key_of(&event).and_then(|stream| keys.remove(&stream)) {
                events.push(RecordedEvent { position: self.before(&event)?, ..key });
            }
            self.last = event.position;
            events.push(event);
        }
        Ok(Some(events))
    }

    /// A position right before an event. A server gives its events odd ones, so that there is room; and before an
    /// integration stands at least its slug.
    fn before(&self, event: &RecordedEvent) -> Result<Position, Error> {
        let before = Position::new(event.position.get().saturating_sub(1));
        let has_room = before > self.last;
        has_room.then_some(before).ok_or_else(|| Error::Corrupt("there is no room before an integration".into()))
    }

    /// The data keys of the integrations whose first event is here, as they are now.
    async fn keys(&self, page: &[RecordedEvent]) -> Result<HashMap<StreamName, RecordedEvent>, Error> {
        let streams: Vec<_> = page.iter().filter_map(key_of).collect();
        let mut keys = HashMap::new();
        for (stream, look) in look_at(self.store, &streams, Direction::BackwardsFromEnd).await? {
            match look {
                Ok(key) => keys.extend(key.map(|key| (stream, key))),
                // It was destroyed.
                Err(Error::Tombstoned { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(keys)
    }
}

/// The stream of the data key of an integration that begins with this event.
fn key_of(event: &RecordedEvent) -> Option<StreamName> {
    let is_first = event.stream.kind() == Kind::Integration && event.revision == Revision::FIRST;
    let (tenant, id) = event.stream.integration_of().filter(|_| is_first)?;
    Some(StreamName::key(&tenant, id))
}
