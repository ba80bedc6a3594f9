//! The runner: feeds a view from the log, batch by batch, each with its checkpoint. A stream with an event that this
//! release cannot read is parked: its documents stay as they were, and everything else goes on.

use std::{collections::BTreeMap, sync::Arc};

use events::{
    envelope::RecordedEvent,
    ids::Position,
    integration::{Fact, LastEvent},
    store::{Error as EventStoreError, EventStore, Message},
    stored,
    stream::Kind,
};
use thiserror::Error;

use crate::{
    store::{self, Batch, Parked, ParkedStreams, TenantChanges, WriteViews},
    view::View,
};

/// Why a view cannot go on.
#[derive(Debug, Error)]
pub enum Error {
    /// The event store failed.
    #[error("cannot follow the log")]
    Events(#[from] EventStoreError),
    /// The view store refused.
    #[error("cannot write the view")]
    Views(#[from] store::Error),
}

/// What a runner tells while it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Everything up to here is in the view, but for what is parked.
    Reached(Position),
    /// Everything that was in the log is in the view; what follows is new.
    CaughtUp,
}

/// Follows the log from where the view is, until something fails.
///
/// # Errors
/// See [`enum@Error`]; it never ends otherwise.
pub async fn run<V: View>(
    events: &dyn EventStore,
    views: &dyn WriteViews<V>,
    mut tell: impl FnMut(Progress) + Send,
) -> Result<std::convert::Infallible, Error> {
    let mut position = *views.checkpoint().borrow();
    let mut parked = ParkedStreams::clone(&views.parked());
    let mut subscription = events.subscribe(position, &[Kind::Integration]);
    loop {
        let batch = match subscription.next().await? {
            Message::Events(recorded) => read_batch(views, position, &recorded, &mut parked),
            Message::Checkpoint(through) => Batch::empty(position, through),
            Message::CaughtUp => {
                tell(Progress::CaughtUp);
                continue;
            }
        };
        position = batch.through;
        views.write(batch)?;
        tell(Progress::Reached(position));
    }
}

/// What a page of the log changes, and what it parks.
fn read_batch<V: View>(
    views: &dyn WriteViews<V>,
    from: Position,
    recorded: &[RecordedEvent],
    parked: &mut ParkedStreams,
) -> Batch<V> {
    let (mut facts, mut now_parked) = (Vec::with_capacity(recorded.len()), Vec::new());
    for event in recorded {
        // What comes behind an event that cannot be read is held back with it.
        if parked.contains_key(&event.stream) {
            continue;
        }
        match stored::integration_fact(event) {
            Ok(fact) => facts.push(fact),
            Err(cause) => {
                let (stream, revision) = (event.stream.clone(), event.revision);
                let cause = &cause as &dyn std::error::Error;
                tracing::error!(view = V::NAME, %stream, %revision, cause, "a stream is parked at an event that this release cannot read");
                parked.insert(stream.clone(), revision);
                let tenant = stream.integration_of().map(|(tenant, _)| tenant);
                now_parked.push(Parked { tenant, stream, revision });
            }
        }
    }
    let through = recorded.last().map_or(from, |last| last.position);
    Batch { through, parked: now_parked, ..fold(views, from, &facts) }
}

/// What a batch of facts changes, folded key by key in memory.
pub fn fold<V: View>(views: &dyn WriteViews<V>, from: Position, facts: &[Fact]) -> Batch<V> {
    let mut batch = Batch::empty(from, from);
    let mut snapshots = BTreeMap::new();
    for fact in facts {
        batch.through = fact.position;
        let last = LastEvent { revision: fact.revision, position: fact.position, hash: fact.hash };
        for key in V::keys(fact) {
            let snapshot =
                snapshots.entry(fact.tenant.clone()).or_insert_with(|| Arc::clone(&views.snapshot(&fact.tenant)));
            let changes = batch
                .tenants
                .entry(fact.tenant.clone())
                .or_insert_with(|| TenantChanges { last, documents: BTreeMap::new() });
            changes.last = last;
            let known = changes.documents.remove(&key);
            let before = known.unwrap_or_else(|| snapshot.documents.get(&key).cloned());
            changes.documents.insert(key.clone(), V::apply(&key, before, fact));
        }
    }
    batch
}
