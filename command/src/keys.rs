//! Data keys: made, wrapped and kept in their streams; found again, and forgotten with the integration.

use std::sync::Arc;

use events::{
    envelope::{Digest, Metadata, NewEvent, Place, new_event_id},
    event::DataKeyWrapped,
    ids::{IntegrationId, Position, Revision, TenantId},
    seal::{self, DataKey, MasterKeys},
    store::{Direction, Error as StoreError, EventStore, ExpectedRevision, StreamWrite},
    stored::{self, Store as _},
    stream::{Kind, StreamName},
    time::Timestamp,
};
use moka::sync::Cache;
use thiserror::Error;

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
}

/// Where data keys come from.
#[derive(Debug)]
pub struct KeyRing {
    store: Arc<dyn EventStore>,
    masters: Arc<MasterKeys>,
    unwrapped: Cache<StreamName, Arc<DataKey>>,
}

impl KeyRing {
    /// A ring over the log's key streams.
    #[must_use]
    pub fn new(store: Arc<dyn EventStore>, masters: Arc<MasterKeys>) -> Self {
        Self { store, masters, unwrapped: Cache::new(KEYS_MAX) }
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
        let wrapped = stored::data_key_wrapped(last)?.wrapped;
        let key = Arc::new(self.masters.unwrap(tenant, id, &wrapped)?);
        self.unwrapped.insert(stream, Arc::clone(&key));
        Ok(Some(key))
    }

    /// The write that makes a fresh data key an integration's own.
    pub(crate) fn write(&self, tenant: &TenantId, id: IntegrationId, key: &DataKey, now: Timestamp) -> StreamWrite {
        let stream = StreamName::key(tenant, id);
        let form = DataKeyWrapped { wrapped: self.masters.wrap(tenant, id, key) }.to_stored();
        let place = Place { stream: &stream, revision: Revision::FIRST, previous: Digest::ZERO };
        let metadata = Metadata::of_service(Some(tenant.clone()), now);
        let event = NewEvent::seal(place, new_event_id(), form.event_type, form.data, &metadata);
        StreamWrite::Append { stream, expected: ExpectedRevision::NoStream, events: vec![event] }
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

/// Checks that the master keys open every data key of the log; `None` for a log that must have no keys yet.
///
/// # Errors
/// [`KeyCheckError`].
pub async fn check_master_keys(store: &dyn EventStore, masters: Option<&MasterKeys>) -> Result<(), KeyCheckError> {
    let mut after = Position::START;
    loop {
        let page = store.read_all(after, &[Kind::Key], PAGE).await?;
        for recorded in &page.events {
            let wrapped = stored::data_key_wrapped(recorded)?.wrapped;
            let unknown = || seal::Error::UnknownMasterKey(wrapped.master_key().to_owned());
            let masters = masters.ok_or_else(|| KeyCheckError::DoesNotOpen(unknown()))?;
            if let Some((tenant, id)) = recorded.stream.integration_of() {
                masters.unwrap(&tenant, id, &wrapped).map_err(KeyCheckError::DoesNotOpen)?;
            }
        }
        if page.is_last {
            return Ok(());
        }
        after = page.through;
    }
}
