//! The reading half: snapshots of tenants in memory, loaded on first use, kept fresh by what changed since, evicted when
//! cold. With the database away, those that are here are served as they are.

use std::{
    collections::BTreeMap,
    fmt,
    hash::BuildHasher as _,
    sync::{Arc, Once},
};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use deadpool_postgres::{Client, Transaction};
use events::{
    ids::{Position, Revision, TenantId},
    integration::LastEvent,
    stream::StreamName,
};
use foldhash::fast::RandomState;
use moka::{policy::EvictionPolicy, sync::Cache};
use tokio::{
    sync::{Mutex, watch},
    time::Instant,
    try_join,
};
use tokio_postgres::{
    IsolationLevel, Row,
    types::{ToSql, Type},
};

use super::{
    super::{Error, Parked, ParkedStreams, ReadViews, Snapshot, ViewState, Views},
    ask,
    connect::{ANSWER_MAX, Database},
    corrupt,
    generation::Generation,
};
use crate::view::View;

/// How many loads go on at once without waiting for each other.
const LOADS: usize = 64;
/// What a document takes in memory, by the bytes of its key and its JSON.
const BYTES_PER_JSON_BYTE: usize = 3;
/// How often a load is tried while refreshes go on, which may overtake it, and how often at all.
const TRIES_BESIDE_REFRESHES: u32 = 2;
const TRIES: u32 = 8;

/// What a refresh found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refreshed {
    /// No projector has made the view of this version yet.
    Missing,
    /// Everything up to here is shown.
    Through(Position),
}

/// A view as queries see it.
pub struct PostgresReader<V: View> {
    pub(super) database: Database,
    pub(super) tenants: Cache<TenantId, Arc<Held<V>>, RandomState>,
    pub(super) shown: Mutex<Option<Shown>>,
    pub(super) checkpoint: watch::Sender<Position>,
    pub(super) parked: ArcSwap<ParkedStreams>,
    pub(super) state: watch::Sender<ViewState>,
    bytes_max: u64,
    has_too_large: Once,
    loads: Vec<Mutex<()>>,
    hasher: RandomState,
}

/// What is shown, and since when it is known to be.
pub(super) struct Shown {
    pub(super) generation: Generation,
    pub(super) at: Instant,
    /// What is parked.
    pub(super) parked: ParkedByTenant,
}

/// The parked streams of each tenant that has some.
pub(super) type ParkedByTenant = BTreeMap<TenantId, ParkedStreams>;

/// A tenant in memory.
pub(super) struct Held<V: View> {
    pub(super) snapshot: Arc<Snapshot<V>>,
    pub(super) generation: i64,
    /// Everything up to this write of the generation is in it.
    pub(super) written: i64,
    pub(super) bytes: usize,
}

impl<V: View> fmt::Debug for PostgresReader<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {:?}", V::NAME, self.database)
    }
}

impl<V: View> PostgresReader<V> {
    /// A reader that holds tenants of so many bytes, about. Nothing is shown before it was refreshed.
    #[must_use]
    pub fn new(database: Database, bytes_max: u64) -> Self {
        let weight = |_: &TenantId, held: &Arc<Held<V>>| u32::try_from(held.bytes).unwrap_or(u32::MAX);
        let tenants = Cache::builder().max_capacity(bytes_max).weigher(weight).eviction_policy(EvictionPolicy::lru());
        Self {
            database,
            tenants: tenants.build_with_hasher(RandomState::default()),
            shown: Mutex::new(None),
            checkpoint: watch::Sender::new(Position::START),
            parked: ArcSwap::default(),
            state: watch::Sender::default(),
            bytes_max,
            has_too_large: Once::new(),
            loads: (0..LOADS).map(|_| Mutex::new(())).collect(),
            hasher: RandomState::default(),
        }
    }

    /// Loads a tenant, unless what is shown by then is newer, or of another generation, or has not come to what is parked of
    /// the tenant yet. While refreshes wait for it, it cannot be newer.
    async fn load(&self, tenant: &TenantId, do_refreshes_wait: bool) -> Result<Option<Arc<Held<V>>>, Error> {
        // The connection comes first: whoever has one and waits for the lock does not keep this from its own.
        let ask = async |client: &mut Client| {
            let before = if do_refreshes_wait { Some(self.shown.lock().await) } else { None };
            Ok((read_live(client, tenant).await?, before))
        };
        let (held, before) = self.database.within(ANSWER_MAX, ask).await?;
        let held = Arc::new(held);
        let shown = match before {
            Some(shown) => shown,
            None => self.shown.lock().await,
        };
        // What a refresh has told of parked streams holds for each tenant that is held.
        let fits = |shown: &Shown| {
            let (parked, loaded) = (shown.parked.get(tenant), &*held.snapshot.parked);
            shown.generation.id == held.generation
                && shown.generation.writes <= held.written
                && parked.map_or(loaded.is_empty(), |parked| parked == loaded)
        };
        if !shown.as_ref().is_some_and(fits) {
            return Ok(None);
        }
        self.hold(tenant, Arc::clone(&held));
        Ok(Some(held))
    }

    /// Keeps a tenant, if it can be kept at all.
    pub(super) fn hold(&self, tenant: &TenantId, held: Arc<Held<V>>) {
        let (bytes, bytes_max) = (held.bytes, self.bytes_max);
        if u64::try_from(bytes).is_ok_and(|bytes| bytes <= bytes_max) {
            self.tenants.insert(tenant.clone(), held);
        } else {
            self.tenants.invalidate(tenant);
            self.has_too_large.call_once(|| {
                tracing::warn!(view = V::NAME, %tenant, bytes, bytes_max, "a tenant is too large to be held in memory");
            });
        }
    }
}

/// A tenant as the live generation has it.
async fn read_live<V: View>(client: &mut Client, tenant: &TenantId) -> Result<Held<V>, Error> {
    let transaction =
        client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true).start().await?;
    let generation = Generation::live::<V>(&transaction).await?;
    let generation = generation.ok_or_else(|| Error::Unavailable("there is no view of this version yet".into()))?;
    let held = read_tenant::<V>(&transaction, &generation, tenant).await?;
    transaction.commit().await?;
    Ok(held)
}

async fn read_tenant<V: View>(
    transaction: &Transaction<'_>,
    generation: &Generation,
    tenant: &TenantId,
) -> Result<Held<V>, Error> {
    let last = format!("SELECT revision, position, hash FROM {} WHERE tenant = $1", generation.tenants());
    let documents =
        format!("SELECT key, document FROM {} WHERE tenant = $1 AND document IS NOT NULL", generation.documents());
    let name = tenant.as_str();
    let asked: [(&(dyn ToSql + Sync), Type); 1] = [(&name, Type::TEXT)];
    let (last, documents) = (ask(transaction, &last, &asked), ask(transaction, &documents, &asked));
    // In this order, as the first that fails makes the others fail.
    let (last, rows, parked) = try_join!(biased; last, documents, parked_streams(transaction, generation))?;
    let last = last.first().map(|row| last_event(row, 0)).transpose()?;
    let mut bytes = 1_024;
    let mut documents = Vec::with_capacity(rows.len());
    for row in &rows {
        let (key, document): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
        bytes += bytes_of(key, document);
        documents.push((parse_key::<V>(key)?, serde_json::from_str(document).map_err(corrupt)?));
    }
    let mut snapshot = last.map_or_else(Snapshot::default, |last| Snapshot::of(last, documents));
    for parked in parked {
        if parked.tenant.as_ref() == Some(tenant) {
            snapshot.park(parked.stream, parked.revision);
        }
    }
    Ok(Held { snapshot: Arc::new(snapshot), generation: generation.id, written: generation.writes, bytes })
}

/// What a document takes in memory, about.
pub(super) fn bytes_of(key: &str, document: &str) -> usize {
    (key.len() + document.len()) * BYTES_PER_JSON_BYTE
}

pub(super) fn parse_key<V: View>(key: &str) -> Result<V::Key, Error> {
    key.parse().map_err(|_| corrupt("a key of a view is none"))
}

/// The last event that changed a tenant, of three columns.
pub(super) fn last_event(row: &Row, column: usize) -> Result<LastEvent, Error> {
    let hash = serde_json::from_value(row.try_get::<_, String>(column + 2)?.into()).map_err(corrupt)?;
    Ok(LastEvent {
        revision: Revision::new(row.try_get::<_, i64>(column)?.unsigned_abs()),
        position: position_of(row.try_get(column + 1)?),
        hash,
    })
}

/// A position, as PostgreSQL holds it.
pub(super) fn position_of(number: i64) -> Position {
    Position::new(number.unsigned_abs())
}

/// Every parked stream of a generation.
pub(super) async fn parked_streams(transaction: &Transaction<'_>, of: &Generation) -> Result<Vec<Parked>, Error> {
    let rows = ask(transaction, &format!("SELECT stream, tenant, revision FROM {}", of.parked()), &[]).await?;
    let parsed = rows.iter().map(|row| {
        let tenant = row.try_get::<_, Option<&str>>(1)?.map(TenantId::parse).transpose().map_err(corrupt)?;
        let stream = StreamName::parse(row.try_get::<_, &str>(0)?).map_err(corrupt)?;
        Ok(Parked { tenant, stream, revision: Revision::new(row.try_get::<_, i64>(2)?.unsigned_abs()) })
    });
    parsed.collect()
}

impl<V: View> Views for PostgresReader<V> {
    fn view(&self) -> &'static str {
        V::NAME
    }

    fn checkpoint(&self) -> watch::Receiver<Position> {
        self.checkpoint.subscribe()
    }

    fn parked(&self) -> Arc<ParkedStreams> {
        self.parked.load_full()
    }

    fn state(&self) -> ViewState {
        *self.state.borrow()
    }
}

#[async_trait]
impl<V: View> ReadViews<V> for PostgresReader<V> {
    fn held(&self, tenant: &TenantId) -> Option<Arc<Snapshot<V>>> {
        self.tenants.get(tenant).map(|held| Arc::clone(&held.snapshot))
    }

    async fn snapshot(&self, tenant: &TenantId) -> Result<Arc<Snapshot<V>>, Error> {
        let load = usize::try_from(self.hasher.hash_one(tenant)).unwrap_or(0) % LOADS;
        let _turn = self.loads[load].lock().await;
        for tried in 0..TRIES {
            if let Some(held) = self.held(tenant) {
                return Ok(held);
            }
            if let Some(held) = self.load(tenant, tried >= TRIES_BESIDE_REFRESHES).await? {
                return Ok(Arc::clone(&held.snapshot));
            }
            // The refresh that overtook it has another state to show, or will have.
            self.refresh().await?;
        }
        Err(Error::Unavailable("the view is replaced faster than it can be loaded".into()))
    }
}
