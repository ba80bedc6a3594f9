//! The port to what views show, and its contract. Adapter: [`memory`].
//!
//! # Contract
//! - A [`Batch`] takes effect as a whole, and with it the checkpoint moves from where the batch says it was; a store
//!   that stands elsewhere refuses it. So each event takes effect exactly once, whatever crashes.
//! - A reader has an immutable [`Snapshot`] of one tenant: one version, whatever is written meanwhile.
//! - The checkpoint that readers wait for moves after the snapshots.
//! - A parked stream stays parked, at the first event that could not be read, and changes no document any more, until a
//!   batch says that it is parked no more.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use async_trait::async_trait;
use events::{
    envelope::Digest,
    ids::{Position, Revision, TenantId},
    integration::LastEvent,
    store::Cause,
    stream::StreamName,
};
use imbl::OrdMap;
use thiserror::Error;
use tokio::sync::watch;

use crate::{
    place::LastRead,
    view::{Index, View},
};

pub mod memory;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "suite")]
pub mod suite;

/// Why a batch was not written, or a tenant not read.
#[derive(Debug, Error)]
pub enum Error {
    /// The store is away, or refused for a reason of its own.
    #[error("the view store is not available")]
    Unavailable(#[source] Cause),
    /// What the store holds cannot be read.
    #[error("the view store holds something that cannot be read")]
    Corrupt(#[source] Cause),
    /// Another process has the lease.
    #[error("another process feeds the view now")]
    Fenced,
    /// Something else has taken the place of what is written to.
    #[error("the view was made anew, and what is written to is not shown any more")]
    Replaced,
    /// The checkpoint is elsewhere than the batch says.
    #[error("the view is at position {actual}, and the batch continues from {expected}")]
    Elsewhere {
        /// Where the batch continues from.
        expected: Position,
        /// Where the view is.
        actual: Position,
    },
}

/// What a batch of events changes.
pub struct Batch<V: View> {
    /// The checkpoint that it continues from.
    pub from: Position,
    /// The checkpoint after it.
    pub through: Position,
    /// What changes for each tenant that one of its events touches.
    pub tenants: BTreeMap<TenantId, TenantChanges<V>>,
    /// Streams that are parked from now on.
    pub parked: Vec<Parked>,
    /// The last event that was read for it, if any was.
    pub last_read: Option<LastRead>,
    /// Streams that are parked no more: what came behind the event that could not be read is in the batch. One that is
    /// parked again further on is in both lists.
    pub unparked: Vec<StreamName>,
}

impl<V: View> Batch<V> {
    /// A batch that changes nothing but the checkpoint.
    #[must_use]
    pub fn empty(from: Position, through: Position) -> Self {
        Self { from, through, tenants: BTreeMap::new(), parked: Vec::new(), last_read: None, unparked: Vec::new() }
    }
}

/// A stream with an event that this release cannot read: its documents stay as they were before that event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// Whose stream it is; `None` when its name does not tell.
    pub tenant: Option<TenantId>,
    /// The stream.
    pub stream: StreamName,
    /// The event that cannot be read.
    pub revision: Revision,
}

/// A tenant's parked streams, each with the first event of it that cannot be read.
pub type ParkedStreams = BTreeMap<StreamName, Revision>;

/// What a batch changes for a tenant.
pub struct TenantChanges<V: View> {
    /// The last event that changed it.
    pub last: LastEvent,
    /// Documents after the batch; `None` for those that are gone.
    pub documents: BTreeMap<V::Key, Option<V::Document>>,
}

impl<V: View> TenantChanges<V> {
    /// The documents that are there afterwards.
    pub fn into_documents(self) -> impl Iterator<Item = (V::Key, V::Document)> {
        self.documents.into_iter().filter_map(|(key, document)| Some((key, document?)))
    }
}

impl<V: View> fmt::Debug for Batch<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batch of {} from {} through {}", V::NAME, self.from, self.through)
    }
}

impl<V: View> fmt::Debug for TenantChanges<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} changes of {}", self.documents.len(), V::NAME)
    }
}

/// A tenant's documents at one version.
pub struct Snapshot<V: View> {
    /// The last event that changed the tenant in this view.
    pub last: Option<LastEvent>,
    /// Documents by key.
    pub documents: OrdMap<V::Key, V::Document>,
    /// Other ways to find them.
    pub index: V::Index,
    /// Streams whose newest events are not shown.
    pub parked: Arc<ParkedStreams>,
}

impl<V: View> Snapshot<V> {
    /// A tenant with these documents, as `last` left it.
    #[must_use]
    pub fn of(last: LastEvent, documents: impl IntoIterator<Item = (V::Key, V::Document)>) -> Self {
        let documents: OrdMap<_, _> = documents.into_iter().collect();
        let mut index = V::Index::default();
        for (key, document) in &documents {
            index.update(key, None, Some(document));
        }
        Self { last: Some(last), documents, index, parked: Arc::default() }
    }

    /// The projection version: the position of the last event that changed the tenant, 0 for none.
    #[must_use]
    pub fn position(&self) -> Position {
        self.last.map_or(Position::START, |last| last.position)
    }

    /// The hash of the last event that changed the tenant, zeros for none.
    #[must_use]
    pub fn hash(&self) -> Digest {
        self.last.map_or(Digest::ZERO, |last| last.hash)
    }

    /// How clients name the version: position, and the first 8 hex digits of that event's hash.
    #[must_use]
    pub fn change(&self) -> String {
        [&self.position().get().to_string(), "-", &self.hash().short()].concat()
    }

    fn apply(&mut self, changes: TenantChanges<V>) {
        for (key, after) in changes.documents {
            let before = match &after {
                Some(document) => self.documents.insert(key.clone(), document.clone()),
                None => self.documents.remove(&key),
            };
            self.index.update(&key, before.as_ref(), after.as_ref());
        }
        // What was held back may be older than what was not.
        let is_older = self.last.is_some_and(|last| last.position > changes.last.position);
        if !is_older {
            self.last = Some(changes.last);
        }
    }

    fn unpark(&mut self, stream: &StreamName) {
        Arc::make_mut(&mut self.parked).remove(stream);
    }

    fn park(&mut self, stream: StreamName, revision: Revision) {
        Arc::make_mut(&mut self.parked).entry(stream).or_insert(revision);
    }
}

impl<V: View> Default for Snapshot<V> {
    fn default() -> Self {
        Self { last: None, documents: OrdMap::new(), index: V::Index::default(), parked: Arc::default() }
    }
}

impl<V: View> Clone for Snapshot<V> {
    fn clone(&self) -> Self {
        Self {
            last: self.last,
            documents: self.documents.clone(),
            index: self.index.clone(),
            parked: Arc::clone(&self.parked),
        }
    }
}

impl<V: View> fmt::Debug for Snapshot<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Snapshot of {} at {}", V::NAME, self.position())
    }
}

/// Documents by tenant and key.
pub type Documents<V> = BTreeMap<(TenantId, <V as View>::Key), <V as View>::Document>;

/// What both halves know of a view, whichever it is.
pub trait Views: Send + Sync + fmt::Debug {
    /// Its name.
    fn view(&self) -> &'static str;

    /// The checkpoint, as it moves.
    fn checkpoint(&self) -> watch::Receiver<Position>;

    /// Every parked stream.
    fn parked(&self) -> Arc<ParkedStreams>;

    /// What becomes of it here.
    fn state(&self) -> ViewState {
        ViewState::Kept
    }
}

/// The reading half: what queries are served from.
#[async_trait]
pub trait ReadViews<V: View>: Views {
    /// A tenant as it is now, if it can be told at once.
    fn held(&self, tenant: &TenantId) -> Option<Arc<Snapshot<V>>>;

    /// A tenant as it is now.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn snapshot(&self, tenant: &TenantId) -> Result<Arc<Snapshot<V>>, Error>;
}

/// What a process does with a view, for its operator.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ViewState {
    /// It feeds it, or shows what is fed.
    #[default]
    Kept,
    /// Another process feeds it, and this one would take over.
    StandingBy,
    /// What it is kept in is away, or something else keeps it from going on.
    Stopped,
}

/// The writing half: what the runner feeds.
#[async_trait]
pub trait WriteViews<V: View>: Views {
    /// The last event that the view was made of, where it outlives the process.
    fn last_read(&self) -> Option<LastRead> {
        None
    }

    /// The documents that these keys have now.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn documents(&self, keys: BTreeSet<(TenantId, V::Key)>) -> Result<Documents<V>, Error>;

    /// Writes a batch.
    ///
    /// # Errors
    /// See [`enum@Error`].
    async fn write(&self, batch: Batch<V>) -> Result<(), Error>;

    /// Shows the view from now on: it has caught up with the log once.
    ///
    /// # Errors
    /// [`Error::Fenced`], [`Error::Unavailable`].
    async fn show(&self) -> Result<(), Error>;

    /// Writes the batch that everything up to here makes, where there is nothing of the view yet.
    ///
    /// # Errors
    /// See [`enum@Error`].
    async fn write_replayed(&self, batch: Batch<V>) -> Result<(), Error>;
}
