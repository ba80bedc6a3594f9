//! Views in the process's memory: persistent maps, swapped once a batch. Gone with the process, and replayed at start.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use events::{
    ids::{Position, TenantId},
    stream::StreamName,
};
use foldhash::fast::RandomState;
use tokio::sync::watch;

use super::{Batch, Documents, Error, Parked, ParkedStreams, ReadViews, Snapshot, Views, WriteViews};
use crate::view::View;

type Tenants<V> = HashMap<TenantId, Arc<ArcSwap<Snapshot<V>>>, RandomState>;

/// A view store in memory.
pub struct MemoryViews<V: View> {
    tenants: RwLock<Tenants<V>>,
    checkpoint: watch::Sender<Position>,
    parked: ArcSwap<ParkedStreams>,
    writing: Mutex<()>,
}

impl<V: View> Default for MemoryViews<V> {
    fn default() -> Self {
        let checkpoint = watch::Sender::new(Position::START);
        Self { tenants: RwLock::default(), checkpoint, parked: ArcSwap::default(), writing: Mutex::new(()) }
    }
}

impl<V: View> MemoryViews<V> {
    fn find(&self, tenant: &TenantId) -> Option<Arc<ArcSwap<Snapshot<V>>>> {
        self.tenants.read().unwrap_or_else(PoisonError::into_inner).get(tenant).map(Arc::clone)
    }

    fn current(&self, tenant: &TenantId) -> Arc<Snapshot<V>> {
        self.find(tenant).map_or_else(Arc::default, |tenant| tenant.load_full())
    }

    fn find_or_add(&self, tenant: TenantId) -> Arc<ArcSwap<Snapshot<V>>> {
        if let Some(found) = self.find(&tenant) {
            return found;
        }
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(tenants.entry(tenant).or_default())
    }

    fn expect_at(&self, expected: Position) -> Result<(), Error> {
        let actual = *self.checkpoint.borrow();
        if actual == expected { Ok(()) } else { Err(Error::Elsewhere { expected, actual }) }
    }

    fn change(&self, tenant: TenantId, change: impl FnOnce(&mut Snapshot<V>)) {
        let cell = self.find_or_add(tenant);
        let mut snapshot = Snapshot::clone(&cell.load());
        change(&mut snapshot);
        cell.store(Arc::new(snapshot));
    }

    fn unpark(&self, streams: &[StreamName]) {
        let mut all = ParkedStreams::clone(&self.parked.load());
        for stream in streams {
            all.remove(stream);
            if let Some((tenant, _)) = stream.integration_of() {
                self.change(tenant, |snapshot| snapshot.unpark(stream));
            }
        }
        self.parked.store(Arc::new(all));
    }

    fn park(&self, parked: Vec<Parked>) {
        let mut all = ParkedStreams::clone(&self.parked.load());
        for Parked { tenant, stream, revision } in parked {
            all.entry(stream.clone()).or_insert(revision);
            if let Some(tenant) = tenant {
                self.change(tenant, |snapshot| snapshot.park(stream, revision));
            }
        }
        self.parked.store(Arc::new(all));
    }
}

impl<V: View> Views for MemoryViews<V> {
    fn view(&self) -> &'static str {
        V::NAME
    }

    fn checkpoint(&self) -> watch::Receiver<Position> {
        self.checkpoint.subscribe()
    }

    fn parked(&self) -> Arc<ParkedStreams> {
        self.parked.load_full()
    }
}

#[async_trait]
impl<V: View> ReadViews<V> for MemoryViews<V> {
    fn held(&self, tenant: &TenantId) -> Option<Arc<Snapshot<V>>> {
        Some(self.current(tenant))
    }

    async fn snapshot(&self, tenant: &TenantId) -> Result<Arc<Snapshot<V>>, Error> {
        Ok(self.current(tenant))
    }
}

#[async_trait]
impl<V: View> WriteViews<V> for MemoryViews<V> {
    async fn documents(&self, keys: BTreeSet<(TenantId, V::Key)>) -> Result<Documents<V>, Error> {
        let found = keys.into_iter().filter_map(|(tenant, key)| {
            let document = self.find(&tenant)?.load().documents.get(&key).cloned()?;
            Some(((tenant, key), document))
        });
        Ok(found.collect())
    }

    async fn write(&self, batch: Batch<V>) -> Result<(), Error> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.expect_at(batch.from)?;
        for (tenant, changes) in batch.tenants {
            self.change(tenant, |snapshot| snapshot.apply(changes));
        }
        if !batch.unparked.is_empty() {
            self.unpark(&batch.unparked);
        }
        if !batch.parked.is_empty() {
            self.park(batch.parked);
        }
        self.checkpoint.send_replace(batch.through);
        Ok(())
    }

    /// A replay is shown when it is written, and there is nothing else to hide.
    async fn show(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn write_replayed(&self, batch: Batch<V>) -> Result<(), Error> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.expect_at(batch.from)?;
        for (tenant, changes) in batch.tenants {
            let snapshot = Snapshot::of(changes.last, changes.into_documents());
            self.find_or_add(tenant).store(Arc::new(snapshot));
        }
        if !batch.parked.is_empty() {
            self.park(batch.parked);
        }
        self.checkpoint.send_replace(batch.through);
        Ok(())
    }
}

impl<V: View> fmt::Debug for MemoryViews<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "views of {} in memory", V::NAME)
    }
}
