//! Data keys: made, wrapped and kept in their streams; found again, and forgotten with the integration.

use std::sync::Arc;

use arc_swap::ArcSwap;
use events::{
    envelope::{Digest, Metadata, NewEvent, Place, new_event_id},
    event::DataKeyWrapped,
    ids::{IntegrationId, Revision, TenantId},
    seal::{self, DataKey, MasterKeys},
    store::{Direction, Error as StoreError, EventStore, ExpectedRevision, StreamWrite, walk::Read},
    stored::Store as _,
    stream::StreamName,
    time::Timestamp,
};
use moka::sync::Cache;
use thiserror::Error;
use tokio::sync::{Mutex, OwnedRwLockReadGuard, RwLock};

mod check;
mod file;
mod switching;
#[cfg(test)]
mod tests;
mod wrap;

pub(crate) use check::keys_after;
pub use check::{KeyCheckError, check_has_no_keys};
pub use file::{KeyFile, active_of_running};
use switching::Known;
pub(crate) use switching::TakeUpError;
pub(crate) use wrap::Unreadable;
use wrap::{Shut, Wrap};

/// How many data keys are kept unwrapped: enough for the integrations that are being worked on.
const KEYS_MAX: u64 = 10_000;
/// How many data keys that cannot be had are remembered as told.
const TOLD_MAX: u64 = 10_000;

/// Why a data key cannot be had.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// The store failed.
    #[error("cannot read a data key")]
    Store(#[from] StoreError),
    /// It cannot be had, for a reason of its own.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// Its master key is not known.
    #[error("cannot unwrap a data key")]
    Seal(#[from] seal::Error),
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
    /// The data keys that cannot be had, and of which that was logged.
    told: Cache<(StreamName, Revision), ()>,
}

/// What a rotation has to do with a data key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is under the active master key.
    UnderActive,
    /// It is under another one.
    ToRewrap,
    /// It cannot be had: it stays as it is.
    Unreadable,
}

/// A data key that is not under the active master key.
struct Old<'a> {
    wrap: Wrap<'a>,
    key: DataKey,
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
            told: Cache::new(TOLD_MAX),
        }
    }

    /// Checks that the master keys open the data keys of the log, and tells of those that cannot be had; answers how many
    /// are not under the active one, as far as that can be said.
    ///
    /// # Errors
    /// [`KeyCheckError`].
    pub async fn check(&self) -> Result<u64, KeyCheckError> {
        self.check_with(&self.masters()).await
    }

    async fn check_with(&self, masters: &MasterKeys) -> Result<u64, KeyCheckError> {
        let checked = check::check_all(&*self.store, masters).await?;
        checked.unreadable.iter().for_each(|unreadable| self.tell(unreadable));
        Ok(checked.to_rewrap)
    }

    /// Tells of a data key that cannot be had, once.
    fn tell(&self, unreadable: &Unreadable) {
        let Unreadable { stream, revision, cause } = unreadable;
        if self.told.entry((stream.clone(), *revision)).or_insert(()).is_fresh() {
            let cause: &dyn std::error::Error = &**cause;
            tracing::error!(%stream, %revision, cause, "a data key cannot be read: a later release wrote it, or it is damaged");
        }
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
            Err(StoreError::Damaged(damaged)) => return Err(Unreadable::from(damaged).into()),
            Err(error) => return Err(error.into()),
        };
        let Some(last) = last.first() else {
            return Ok(None);
        };
        let key = Arc::new(self.open(&Wrap::of_event(last)?).await?);
        self.unwrapped.insert(stream, Arc::clone(&key));
        Ok(Some(key))
    }

    /// Another process may wrap with a key that came into the file a moment ago.
    async fn open(&self, wrap: &Wrap<'_>) -> Result<DataKey, Error> {
        let opened = match wrap.open(&self.masters()) {
            Err(Shut::Unknown(_)) => {
                self.look_again().await?;
                wrap.open(&self.masters())
            }
            opened => opened,
        };
        opened.map_err(|shut| match shut {
            Shut::Altered(unreadable) | Shut::Closed(unreadable) => unreadable.into(),
            Shut::Unknown(error) => error.into(),
        })
    }

    /// The write that makes a fresh data key an integration's own.
    pub(crate) async fn write(&self, tenant: &TenantId, id: IntegrationId, key: &DataKey, now: Timestamp) -> Wrapping {
        self.wrap(tenant, id, key, ExpectedRevision::NoStream, now).await
    }

    /// What a rotation has to do with a data key. Tells of one that cannot be had.
    pub(crate) async fn standing(&self, read: &Read) -> Result<Standing, Error> {
        match self.old(read).await {
            Ok(None) => Ok(Standing::UnderActive),
            Ok(Some(_)) => Ok(Standing::ToRewrap),
            Err(Error::Unreadable(unreadable)) => {
                self.tell(&unreadable);
                Ok(Standing::Unreadable)
            }
            Err(error) => Err(error),
        }
    }

    /// The write that puts a data key under the active master key; `None` when it is under it already, or cannot be had.
    pub(crate) async fn rewrap(&self, read: &Read, now: Timestamp) -> Result<Option<Wrapping>, Error> {
        match self.old(read).await {
            Ok(Some(Old { wrap, key })) => {
                let expected = ExpectedRevision::Exact(wrap.revision());
                Ok(Some(self.wrap(&wrap.tenant, wrap.id, &key, expected, now).await))
            }
            Ok(None) | Err(Error::Unreadable(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn old<'a>(&self, read: &'a Read) -> Result<Option<Old<'a>>, Error> {
        let wrap = Wrap::of(read)?;
        if wrap.master_key() == self.masters.load().active() {
            return Ok(None);
        }
        let key = self.open(&wrap).await?;
        Ok(Some(Old { wrap, key }))
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

    /// Whether an integration's key is in memory.
    #[cfg(test)]
    pub(crate) fn remembers(&self, tenant: &TenantId, id: IntegrationId) -> bool {
        self.unwrapped.contains_key(&StreamName::key(tenant, id))
    }

    /// Forgets an integration's key, which its log has no more.
    pub(crate) fn forget(&self, tenant: &TenantId, id: IntegrationId) {
        self.unwrapped.invalidate(&StreamName::key(tenant, id));
    }
}
