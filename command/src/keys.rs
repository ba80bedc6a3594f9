//! Data keys: made, wrapped and kept in their streams; found again, and forgotten with the integration.

use std::sync::Arc;

use arc_swap::ArcSwap;
use events::{
    envelope::{Digest, Metadata, NewEvent, Place, RecordedEvent, new_event_id},
    event::DataKeyWrapped,
    ids::{IntegrationId, Position, TenantId},
    seal::{self, DataKey, MasterKeys, WrappedKey},
    store::{Direction, Error as StoreError, EventStore, ExpectedRevision, StreamWrite},
    stored::{self, Store as _},
    stream::{Kind, StreamName},
    time::Timestamp,
};
use moka::sync::Cache;
use thiserror::Error;
use tokio::sync::{Mutex, OwnedRwLockReadGuard, RwLock};

mod file;
mod switching;
#[cfg(test)]
mod tests;

pub use file::{KeyFile, active_of_running};
use switching::Known;
pub(crate) use switching::TakeUpError;

/// How many data keys are kept unwrapped: enough for the integrations that are being worked on.
const KEYS_MAX: u64 = 10_000;
const PAGE: usize = 1_000;

/// Why a data key cannot be had.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// The store failed.
    #[error("cannot read a data key")]
    Store(#[from] StoreError),
    /// It does not unwrap.
    #[error("cannot unwrap a data key")]
    Seal(#[from] seal::Error),
    /// The stream holds something else.
    #[error("cannot read a wrapped data key")]
    Stored(#[from] stored::Error),
    /// Its master key is not known, and the file that may hold it is not taken up.
    #[error("cannot take up the master key file")]
    TakeUp(#[from] TakeUpError),
}

/// Where data keys come from.
#[derive(Debug)]
pub struct KeyRing {
    store: Arc<dyn EventStore>,
    masters: ArcSwap<MasterKeys>,
    file: KeyFile,
    known: Mutex<Known>,
    /// Held by whoever wraps until the append has ended, and alone by who changes the active key: after the change no
    /// wrap of another key is on its way into the log.
    wrapping: Arc<RwLock<()>>,
    unwrapped: Cache<StreamName, Arc<DataKey>>,
}

/// A wrapped data key on its way into the log. To be kept until the append has ended.
#[derive(Debug)]
pub(crate) struct Wrapping {
    /// The write that makes it the integration's.
    pub(crate) write: StreamWrite,
    _guard: OwnedRwLockReadGuard<()>,
}

impl KeyRing {
    /// A ring over the log's key streams, with the keys that the file held when the service started.
    #[must_use]
    pub fn new(store: Arc<dyn EventStore>, masters: MasterKeys, file: KeyFile) -> Self {
        Self {
            store,
            masters: ArcSwap::from_pointee(masters),
            file,
            known: Mutex::default(),
            wrapping: Arc::default(),
            unwrapped: Cache::new(KEYS_MAX),
        }
    }

    /// Checks that the master keys open every data key of the log; answers how many are not under the active one.
    ///
    /// # Errors
    /// [`KeyCheckError`].
    pub async fn check(&self) -> Result<u64, KeyCheckError> {
        check_master_keys(&*self.store, Some(&self.masters())).await
    }

    /// The master keys in use.
    pub(crate) fn masters(&self) -> Arc<MasterKeys> {
        self.masters.load_full()
    }

    /// An integration's data key; `None` when there is none, or no more.
    pub(crate) async fn find(&self, tenant: &TenantId, id: IntegrationId) -> Result<Option<Arc<DataKey>>, Error> {
        let stream = StreamName::key(tenant, id);
        if let Some(key) = self.unwrapped.get(&stream) {
            return Ok(Some(key));
        }
        let last = match self.store.read_stream(&stream, Direction::BackwardsFromEnd, 1).await {
            Ok(events) => events,
            Err(StoreError::Tombstoned { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let Some(last) = last.first() else {
            return Ok(None);
        };
        let key = Arc::new(self.unwrap(tenant, id, &stored::data_key_wrapped(last)?.wrapped).await?);
        self.unwrapped.insert(stream, Arc::clone(&key));
        Ok(Some(key))
    }

    /// Another process may wrap with a key that came into the file a moment ago.
    async fn unwrap(&self, tenant: &TenantId, id: IntegrationId, wrapped: &WrappedKey) -> Result<DataKey, Error> {
        match self.masters().unwrap(tenant, id, wrapped) {
            Err(seal::Error::UnknownMasterKey(_)) => {
                self.look_again().await?;
                Ok(self.masters().unwrap(tenant, id, wrapped)?)
            }
            unwrapped => Ok(unwrapped?),
        }
    }

    /// The write that makes a fresh data key an integration's own.
    pub(crate) async fn write(&self, tenant: &TenantId, id: IntegrationId, key: &DataKey, now: Timestamp) -> Wrapping {
        self.wrap(tenant, id, key, ExpectedRevision::NoStream, now).await
    }

    /// Whether a data key is not under the active master key.
    pub(crate) fn is_to_rewrap(&self, recorded: &RecordedEvent) -> Result<bool, stored::Error> {
        let wrapped = stored::data_key_wrapped(recorded)?.wrapped;
        Ok(wrapped.master_key() != self.masters.load().active() && recorded.stream.integration_of().is_some())
    }

    /// The write that puts a data key under the active master key; `None` when it is under it already.
    pub(crate) async fn rewrap(&self, recorded: &RecordedEvent, now: Timestamp) -> Result<Option<Wrapping>, Error> {
        if !self.is_to_rewrap(recorded)? {
            return Ok(None);
        }
        let Some((tenant, id)) = recorded.stream.integration_of() else {
            return Ok(None);
        };
        let wrapped = stored::data_key_wrapped(recorded)?.wrapped;
        let key = self.unwrap(&tenant, id, &wrapped).await?;
        Ok(Some(self.wrap(&tenant, id, &key, ExpectedRevision::Exact(recorded.revision), now).await))
    }

    async fn wrap(
        &self,
        tenant: &TenantId,
        id: IntegrationId,
        key: &DataKey,
        expected: ExpectedRevision,
        now: Timestamp,
    ) -> Wrapping {
        let guard = Arc::clone(&self.wrapping).read_owned().await;
        let stream = StreamName::key(tenant, id);
        let form = DataKeyWrapped { wrapped: self.masters.load().wrap(tenant, id, key) }.to_stored();
        let place = Place { stream: &stream, revision: expected.next(), previous: Digest::ZERO };
        let metadata = Metadata::of_service(Some(tenant.clone()), now);
        let event = NewEvent::seal(place, new_event_id(), form.event_type, form.data, &metadata);
        Wrapping { write: StreamWrite::Append { stream, expected, events: vec![event] }, _guard: guard }
    }

    /// Forgets an integration's key, which its log has no more.
    pub(crate) fn forget(&self, tenant: &TenantId, id: IntegrationId) {
        self.unwrapped.invalidate(&StreamName::key(tenant, id));
    }
}

/// Why the log's keys cannot be used with these master keys.
#[derive(Debug, Error)]
pub enum KeyCheckError {
    /// A key is wrapped by a master key that is not in the file, or by another one of the same id.
    #[error("the log holds data keys that the master key file does not open")]
    DoesNotOpen(#[source] seal::Error),
    /// The store failed.
    #[error("cannot read the log's data keys")]
    Store(#[from] StoreError),
    /// The stream holds something else.
    #[error("cannot read the log's data keys")]
    Stored(#[from] stored::Error),
}

/// Checks that the master keys open every data key of the log, `None` for a log that must have no keys yet; answers how
/// many are not under the active one.
///
/// # Errors
/// [`KeyCheckError`].
pub async fn check_master_keys(store: &dyn EventStore, masters: Option<&MasterKeys>) -> Result<u64, KeyCheckError> {
    let (mut after, mut others) = (Position::START, 0);
    loop {
        let page = store.read_all(after, &[Kind::Key], PAGE).await?;
        for recorded in &page.events {
            let wrapped = stored::data_key_wrapped(recorded)?.wrapped;
            let unknown = || seal::Error::UnknownMasterKey(wrapped.master_key().to_owned());
            let masters = masters.ok_or_else(|| KeyCheckError::DoesNotOpen(unknown()))?;
            if let Some((tenant, id)) = recorded.stream.integration_of() {
                masters.unwrap(&tenant, id, &wrapped).map_err(KeyCheckError::DoesNotOpen)?;
            }
            others += u64::from(wrapped.master_key() != masters.active());
        }
        if page.is_last {
            return Ok(others);
        }
        after = page.through;
    }
}
