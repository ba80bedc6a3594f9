//! The janitor: destroys what deletes and new icons leave behind. The handler has mostly done so already; this makes it
//! certain, and that a data key is forgotten which another process has destroyed. Every step may be done twice.

use std::{sync::Arc, time::Duration};

use events::{
    envelope::{Digest, Metadata, NewEvent, Place, new_event_id},
    event::{CheckpointReached, IntegrationEvent},
    ids::Position,
    integration::Fact,
    store::{Direction, Error as StoreError, EventStore, ExpectedRevision, Message, StreamWrite},
    stored::{self, Store as _},
    stream::{Kind, StreamName},
};
use thiserror::Error;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{handler::Clock, keys::KeyRing};

pub(crate) mod rewrap;

/// How often its checkpoint is written, at most.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_secs(1);

#[derive(Debug, Error)]
enum Error {
    #[error("the store failed")]
    Store(#[from] StoreError),
    #[error("an event cannot be read")]
    Stored(#[from] stored::Error),
}

/// Works until it is told to stop; goes on after every failure.
pub async fn run_janitor(store: Arc<dyn EventStore>, keys: Arc<KeyRing>, clock: Clock, stop: CancellationToken) {
    let janitor = Janitor { store, keys, clock };
    loop {
        let worked = tokio::select! {
            () = stop.cancelled() => return,
            result = janitor.follow() => result,
        };
        if let Err(error) = worked {
            tracing::error!(error = &error as &dyn std::error::Error, "the janitor failed, and tries again");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(RETRY) => {}
        }
    }
}

struct Janitor {
    store: Arc<dyn EventStore>,
    keys: Arc<KeyRing>,
    clock: Clock,
}

/// Where the janitor's own stream ends.
#[derive(Clone, Copy)]
struct Checkpoint {
    expected: ExpectedRevision,
    position: Position,
}

impl Janitor {
    async fn follow(&self) -> Result<(), Error> {
        let mut checkpoint = self.checkpoint().await?;
        let mut subscription = self.store.subscribe(checkpoint.position, &[Kind::Integration]);
        let (mut reached, mut has_worked, mut written) = (checkpoint.position, false, Instant::now());
        // A later release cleans up after an event that this one cannot read: it must begin before it.
        let mut is_held = false;
        loop {
            match subscription.next().await? {
                Message::CaughtUp => {}
                Message::Checkpoint(position) if !is_held => reached = position,
                Message::Checkpoint(_) => {}
                // What it would have left behind stays until it is mended.
                Message::Damaged(_) => is_held = true,
                Message::Events(events) => {
                    for recorded in &events {
                        if stored::may_leave_something(&recorded.event_type) {
                            match stored::integration_fact(recorded) {
                                Ok(fact) => has_worked |= self.clean(&fact).await?,
                                Err(_) => is_held = true,
                            }
                        }
                        if !is_held {
                            reached = recorded.position;
                        }
                    }
                }
            }
            if has_worked && written.elapsed() >= CHECKPOINT_EVERY {
                checkpoint = self.write(checkpoint, reached).await?;
                (has_worked, written) = (false, Instant::now());
            }
        }
    }

    /// Destroys what an event leaves behind; whether there was anything to destroy.
    async fn clean(&self, fact: &Fact) -> Result<bool, Error> {
        let icon = |blob| StreamName::icon(&fact.tenant, fact.integration, blob);
        let streams: Vec<StreamName> = match &fact.event {
            IntegrationEvent::Deleted(deleted) => {
                let key = StreamName::key(&fact.tenant, fact.integration);
                std::iter::once(key).chain(deleted.icon.map(icon)).collect()
            }
            IntegrationEvent::IconSet(set) => set.replaces.map(icon).into_iter().collect(),
            IntegrationEvent::IconRemoved(removed) => vec![icon(removed.blob)],
            IntegrationEvent::Created(_)
            | IntegrationEvent::Updated(_)
            | IntegrationEvent::Shared(_)
            | IntegrationEvent::Unshared(_)
            | IntegrationEvent::OwnershipTransferred(_)
            | IntegrationEvent::TagsSet(_) => Vec::new(),
        };
        if streams.is_empty() {
            return Ok(false);
        }
        self.store.append(streams.into_iter().map(|stream| StreamWrite::Tombstone { stream }).collect()).await?;
        if matches!(fact.event, IntegrationEvent::Deleted(_)) {
            // Another process may have deleted it. From here on nobody reads the key anew.
            self.keys.forget(&fact.tenant, fact.integration);
        }
        Ok(true)
    }

    async fn checkpoint(&self) -> Result<Checkpoint, Error> {
        let stream = StreamName::janitor_checkpoint();
        let last = self.store.read_stream(&stream, Direction::BackwardsFromEnd, 1).await?;
        let Some(last) = last.first() else {
            return Ok(Checkpoint { expected: ExpectedRevision::NoStream, position: Position::START });
        };
        let position = stored::checkpoint_reached(last)?.position;
        Ok(Checkpoint { expected: ExpectedRevision::Exact(last.revision), position })
    }

    async fn write(&self, last: Checkpoint, position: Position) -> Result<Checkpoint, Error> {
        let stream = StreamName::janitor_checkpoint();
        let form = CheckpointReached { position }.to_stored();
        let place = Place { stream: &stream, revision: last.expected.next(), previous: Digest::ZERO };
        let metadata = Metadata::of_service(None, self.clock.now());
        let event = NewEvent::seal(place, new_event_id(), form.event_type, form.data, &metadata);
        let write = StreamWrite::Append { stream, expected: last.expected, events: vec![event] };
        match self.store.append(vec![write]).await {
            Ok(_) => Ok(Checkpoint { expected: ExpectedRevision::Exact(last.expected.next()), position }),
            // Another process has a janitor too. Both do everything, so that either's checkpoint is good.
            Err(StoreError::WrongExpectedRevision { .. }) => self.checkpoint().await,
            Err(error) => Err(error.into()),
        }
    }
}
