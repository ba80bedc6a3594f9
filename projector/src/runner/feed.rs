//! What a runner does with each view that it feeds.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Deref,
    sync::Arc,
};

use async_trait::async_trait;
use events::{
    ids::{Position, TenantId},
    integration::Fact,
};

use super::Read;
use crate::{
    place::LastRead,
    replay::Replay,
    store::{self, Batch, Documents, ParkedStreams, TenantChanges, Views as _, WriteViews},
    view::View,
};

/// A view that is being fed, whichever it is.
#[async_trait]
pub trait Feed: Send + Sync {
    /// Its name.
    fn view(&self) -> &'static str;

    /// How far it is.
    fn position(&self) -> Position;

    /// The last event that it was made of, where it outlives the process.
    fn last_read(&self) -> Option<LastRead>;

    /// Its parked streams.
    fn parked(&self) -> Arc<ParkedStreams>;

    /// Takes the next facts of the past, of which nothing is shown yet.
    fn replay(&mut self, facts: &[Fact]);

    /// Writes what was made of the past, which ends with a part that was read.
    ///
    /// # Errors
    /// See [`enum@store::Error`].
    async fn write_replayed(&mut self, last: &Read) -> Result<(), store::Error>;

    /// Folds and writes a part of the log.
    ///
    /// # Errors
    /// See [`enum@store::Error`].
    async fn write(&self, read: &Read) -> Result<(), store::Error>;

    /// Shows the view from now on.
    ///
    /// # Errors
    /// See [`enum@store::Error`].
    async fn show(&self) -> Result<(), store::Error>;
}

/// A view that is being fed: where it is written to, and what is being made of the past.
pub struct Feeding<V: View, W> {
    views: W,
    replay: Replay<V>,
}

impl<V: View, W> Feeding<V, W>
where
    W: Deref<Target: WriteViews<V>>,
{
    /// Feeds these views.
    pub fn of(views: W) -> Self {
        Self { views, replay: Replay::default() }
    }
}

impl<V: View, W> fmt::Debug for Feeding<V, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, being fed", V::NAME)
    }
}

#[async_trait]
impl<V: View, W> Feed for Feeding<V, W>
where
    W: Deref<Target: WriteViews<V>> + Send + Sync,
{
    fn view(&self) -> &'static str {
        V::NAME
    }

    fn position(&self) -> Position {
        *self.views.checkpoint().borrow()
    }

    fn last_read(&self) -> Option<LastRead> {
        self.views.last_read()
    }

    fn parked(&self) -> Arc<ParkedStreams> {
        self.views.parked()
    }

    fn replay(&mut self, facts: &[Fact]) {
        facts.iter().for_each(|fact| self.replay.fold(fact));
    }

    async fn write_replayed(&mut self, last: &Read) -> Result<(), store::Error> {
        let replayed = std::mem::take(&mut self.replay).finish(last.through, last.parked.clone());
        self.views.write_replayed(Batch { last_read: last.last.clone(), ..replayed }).await
    }

    async fn write(&self, read: &Read) -> Result<(), store::Error> {
        let before = self.views.documents(touched::<V>(&read.facts)).await?;
        let folded = fold(before, read.from, &read.facts);
        let (parked, unparked) = (read.parked.clone(), read.unparked.clone());
        let last_read = read.last.clone();
        self.views.write(Batch { through: read.through, parked, last_read, unparked, ..folded }).await
    }

    async fn show(&self) -> Result<(), store::Error> {
        self.views.show().await
    }
}

/// The keys whose documents a batch of facts touches.
#[must_use]
pub fn touched<V: View>(facts: &[Fact]) -> BTreeSet<(TenantId, V::Key)> {
    let keys = |fact: &Fact| V::keys(fact).into_iter().map(|key| (fact.tenant.clone(), key)).collect::<Vec<_>>();
    facts.iter().flat_map(keys).collect()
}

/// What a batch of facts changes, folded key by key in memory over the documents that were there before.
#[must_use]
pub fn fold<V: View>(mut before: Documents<V>, from: Position, facts: &[Fact]) -> Batch<V> {
    let mut tenants = BTreeMap::<TenantId, TenantChanges<V>>::new();
    for fact in facts {
        for key in V::keys(fact) {
            let changes = match tenants.get_mut(&fact.tenant) {
                Some(changes) => changes,
                None => {
                    let changes = TenantChanges { last: fact.into(), documents: BTreeMap::new() };
                    tenants.entry(fact.tenant.clone()).or_insert(changes)
                }
            };
            changes.last = fact.into();
            let known = changes.documents.remove(&key);
            let document = known.unwrap_or_else(|| before.remove(&(fact.tenant.clone(), key.clone())));
            let after = V::apply(&key, document, fact);
            changes.documents.insert(key, after);
        }
    }
    let through = facts.last().map_or(from, |last| last.position);
    Batch { tenants, ..Batch::empty(from, through) }
}
