//! Keeping what is held fresh: notifications tell when, the tables what.

use std::{
    collections::{BTreeMap, HashSet},
    future::poll_fn,
    sync::Arc,
    time::Duration,
};

use deadpool_postgres::Transaction;
use events::{backoff::Backoff, ids::TenantId};
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
    try_join,
};
use tokio_postgres::{
    AsyncMessage, IsolationLevel,
    types::{ToSql, Type},
};

use super::{
    super::{Error, Parked, ParkedStreams, TenantChanges},
    CHANNEL, DELETED_STAY, ask,
    connect::Connection,
    corrupt,
    generation::Generation,
    reader::{Held, PostgresReader, Refreshed, Shown, bytes_of, last_event, parked_streams, parse_key, position_of},
};
use crate::view::View;

/// How long nothing may be told before it is looked all the same.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a database that is away is left alone, at first and at most.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(3);

/// What changed since a position.
struct Changes<V: View> {
    generation: Generation,
    tenants: BTreeMap<TenantId, (TenantChanges<V>, usize)>,
    parked: Vec<Parked>,
}

impl<V: View> PostgresReader<V> {
    /// Follows the view for as long as the process lives, and tells each state that is shown.
    pub async fn follow(&self, mut tell: impl FnMut(Refreshed) + Send) -> std::convert::Infallible {
        let mut backoff = Backoff::new(PAUSE_MIN, PAUSE_MAX);
        loop {
            let ended = self
                .listen(|refreshed| {
                    if !backoff.is_fresh() {
                        tracing::info!(view = V::NAME, "the view store is back");
                        backoff.reset();
                    }
                    tell(refreshed);
                })
                .await;
            let Err(error) = ended;
            if backoff.is_fresh() {
                let error = &error as &dyn std::error::Error;
                tracing::error!(view = V::NAME, error, "the view store is away; what is held is served as it is");
            }
            tokio::time::sleep(backoff.pause()).await;
        }
    }

    async fn listen(&self, mut tell: impl FnMut(Refreshed) + Send) -> Result<std::convert::Infallible, Error> {
        let (client, connection) = self.database.connect().await?;
        let told = Notify::new();
        let show = async {
            client.batch_execute(&format!("LISTEN {CHANNEL}")).await?;
            loop {
                tell(self.refresh().await?);
                // Nothing told for a while is as good as something told.
                let _ = timeout(LOOK_EVERY, told.notified()).await;
            }
        };
        tokio::select! {
            error = drive::<V>(connection, &told) => Err(error),
            ended = show => ended,
        }
    }

    /// Brings everything that is held up to what the view store has.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn refresh(&self) -> Result<Refreshed, Error> {
        let (before, held) = {
            let shown = self.shown.lock().await;
            // A reader that was away for long may have missed what is deleted and forgotten by now.
            let recent = shown.as_ref().filter(|shown| shown.at.elapsed() < DELETED_STAY / 2);
            let held = self.tenants.iter().map(|(tenant, _)| TenantId::clone(&tenant)).collect::<HashSet<_>>();
            (recent.map(|shown| shown.generation.clone()), held)
        };
        let at = Instant::now();
        let Some(changes) = self.changes(before.as_ref(), &held).await? else {
            return Ok(Refreshed::Missing);
        };
        let position = position_of(changes.generation.position);
        let mut shown = self.shown.lock().await;
        // Another refresh may have come further meanwhile.
        let place = |generation: &Generation| (generation.id, generation.writes);
        match &mut *shown {
            Some(shown) if place(&shown.generation) > place(&changes.generation) => {
                return Ok(Refreshed::Through(position_of(shown.generation.position)));
            }
            Some(shown) if before.is_some() && place(&shown.generation) == place(&changes.generation) => shown.at = at,
            _ => {
                self.apply(&changes.generation, before.as_ref(), &held, changes.tenants, changes.parked);
                *shown = Some(Shown { generation: changes.generation, at });
                self.checkpoint.send_replace(position);
            }
        }
        Ok(Refreshed::Through(position))
    }

    async fn changes(
        &self,
        before: Option<&Generation>,
        held: &HashSet<TenantId>,
    ) -> Result<Option<Changes<V>>, Error> {
        let mut client = self.database.client().await?;
        let transaction =
            client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true).start().await?;
        let Some(generation) = Generation::live::<V>(&transaction).await? else {
            return Ok(None);
        };
        let same = before.filter(|before| before.id == generation.id);
        let tenants = async {
            match same.filter(|same| same.writes < generation.writes && !held.is_empty()) {
                Some(same) => changed::<V>(&transaction, &generation, same.writes, held).await,
                None => Ok(BTreeMap::new()),
            }
        };
        // In this order, as the first that fails makes the others fail.
        let (tenants, parked) = try_join!(biased; tenants, parked_streams(&transaction, &generation))?;
        transaction.commit().await?;
        Ok(Some(Changes { generation, tenants, parked }))
    }

    fn apply(
        &self,
        generation: &Generation,
        before: Option<&Generation>,
        known: &HashSet<TenantId>,
        mut changed: BTreeMap<TenantId, (TenantChanges<V>, usize)>,
        parked: Vec<Parked>,
    ) {
        let mut parked_of = BTreeMap::<TenantId, ParkedStreams>::new();
        for Parked { tenant, stream, revision } in &parked {
            if let Some(tenant) = tenant {
                parked_of.entry(tenant.clone()).or_default().insert(stream.clone(), *revision);
            }
        }
        let is_another = before.is_none_or(|before| before.id != generation.id);
        for (tenant, held) in &self.tenants {
            // What was loaded since it was asked for changes may lack some.
            let is_unknown = !known.contains(&*tenant) && held.written < generation.writes;
            if is_another || is_unknown || held.generation != generation.id {
                self.tenants.invalidate(&*tenant);
                continue;
            }
            let parked = parked_of.remove(&*tenant).unwrap_or_default();
            let changes = changed.remove(&*tenant).filter(|_| held.written < generation.writes);
            if changes.is_none() && *held.snapshot.parked == parked {
                continue;
            }
            let mut snapshot = held.snapshot.as_ref().clone();
            let mut bytes = held.bytes;
            if let Some((changes, more)) = changes {
                snapshot.apply(changes);
                bytes += more;
            }
            snapshot.parked = Arc::new(parked);
            let (snapshot, written) = (Arc::new(snapshot), generation.writes);
            let held = Held { snapshot, generation: generation.id, written, bytes };
            self.tenants.insert(TenantId::clone(&tenant), Arc::new(held));
        }
        self.parked.store(Arc::new(parked.into_iter().map(|parked| (parked.stream, parked.revision)).collect()));
    }
}

async fn changed<V: View>(
    transaction: &Transaction<'_>,
    generation: &Generation,
    since: i64,
    held: &HashSet<TenantId>,
) -> Result<BTreeMap<TenantId, (TenantChanges<V>, usize)>, Error> {
    let held: Vec<&str> = held.iter().map(TenantId::as_str).collect();
    let moved = format!(
        "SELECT tenant, revision, position, hash FROM {} WHERE written > $1 AND tenant = ANY($2)",
        generation.tenants()
    );
    let documents =
        format!("SELECT tenant, key, document FROM {} WHERE written > $1 AND tenant = ANY($2)", generation.documents());
    let asked: [(&(dyn ToSql + Sync), Type); 2] = [(&since, Type::INT8), (&held, Type::TEXT_ARRAY)];
    let (moved, documents) = (ask(transaction, &moved, &asked), ask(transaction, &documents, &asked));
    let (moved, documents) = try_join!(biased; moved, documents)?;
    let mut tenants = BTreeMap::new();
    for row in moved {
        let changes = TenantChanges { last: last_event(&row, 1)?, documents: BTreeMap::new() };
        tenants.insert(TenantId::parse(row.try_get::<_, &str>(0)?).map_err(corrupt)?, (changes, 0));
    }
    for row in documents {
        let Some((changes, bytes)) = tenants.get_mut(row.try_get::<_, &str>(0)?) else { continue };
        let (key, document): (&str, Option<&str>) = (row.try_get(1)?, row.try_get(2)?);
        *bytes += document.map_or(0, |document| bytes_of(key, document));
        let document = document.map(serde_json::from_str).transpose().map_err(corrupt)?;
        changes.documents.insert(parse_key::<V>(key)?, document);
    }
    Ok(tenants)
}

/// Drives a connection, and tells every notification of this view.
async fn drive<V: View>(mut connection: Connection, told: &Notify) -> Error {
    loop {
        match poll_fn(|context| connection.poll_message(context)).await {
            Some(Ok(AsyncMessage::Notification(notification))) => {
                if notification.payload().split(' ').next() == Some(V::NAME) {
                    told.notify_one();
                }
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return error.into(),
            None => return Error::Unavailable("the connection was closed".into()),
        }
    }
}
