//! The runner: feeds a view from the log, batch by batch, each with its checkpoint.

use std::{collections::BTreeMap, sync::Arc};

use events::{
    ids::Position,
    integration::{Fact, LastEvent},
    store::{Error as EventStoreError, EventStore, Message},
    stored,
    stream::Kind,
};
use thiserror::Error;

use crate::{
    store::{self, Batch, TenantChanges, WriteViews},
    view::View,
};

/// Why a view cannot go on.
#[derive(Debug, Error)]
pub enum Error {
    /// The event store failed.
    #[error("cannot follow the log")]
    Events(#[from] EventStoreError),
    /// An event cannot be read.
    #[error(transparent)]
    Stored(#[from] stored::Error),
    /// The view store refused.
    #[error("cannot write the view")]
    Views(#[from] store::Error),
}

/// What a runner tells while it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Everything up to here is in the view.
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
    let mut subscription = events.subscribe(position, &[Kind::Integration]);
    loop {
        match subscription.next().await? {
            Message::Events(recorded) => {
                let facts = recorded.iter().map(stored::integration_fact).collect::<Result<Vec<_>, _>>()?;
                let batch = fold(views, position, &facts);
                position = batch.through;
                views.write(batch)?;
                tell(Progress::Reached(position));
            }
            Message::Checkpoint(through) => {
                views.write(Batch { from: position, through, tenants: BTreeMap::new() })?;
                position = through;
                tell(Progress::Reached(position));
            }
            Message::CaughtUp => tell(Progress::CaughtUp),
        }
    }
}

/// What a batch of facts changes, folded key by key in memory.
pub fn fold<V: View>(views: &dyn WriteViews<V>, from: Position, facts: &[Fact]) -> Batch<V> {
    let mut batch = Batch { from, through: from, tenants: BTreeMap::<_, TenantChanges<V>>::new() };
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
