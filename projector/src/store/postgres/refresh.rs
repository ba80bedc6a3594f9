//! Keeping what is held fresh: notifications tell when, the tables what.

use std::{collections::BTreeMap, future::poll_fn, sync::Arc, time::Duration};

use deadpool_postgres::{Client, Transaction};
use events::{backoff::Backoff, ids::TenantId};
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
    try_join,
};
use tokio_postgres::{AsyncMessage, IsolationLevel, types::Type};

use super::{
    super::{Error, Parked, ParkedStreams, Snapshot, TenantChanges, ViewState},
    CHANNEL, DELETED_STAY, ask,
    connect::{ANSWER_MAX, Connection},
    corrupt,
    generation::Generation,
    reader::{
        Held, ParkedByTenant, PostgresReader, Refreshed, Shown, bytes_of, last_event, parked_streams, parse_key,
        position_of,
    },
};
use crate::view::View;

/// How long nothing may be told before it is looked all the same.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a database that is away is left alone, at first and at most.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(3);

/// What changed since a state of the view.
struct Changes<V: View> {
    generation: Generation,
    /// `None` where the view does not go on from that state: nothing that is held is of use.
    tenants: Option<ByTenant<V>>,
    parked: Vec<Parked>,
}

/// Every tenant that changed, with its changes, and the bytes of them, if it was held then.
type ByTenant<V> = BTreeMap<TenantId, Option<(TenantChanges<V>, usize)>>;

impl<V: View> PostgresReader<V> {
    /// Follows the view for as long as the process lives, and tells each state that is shown.
    pub async fn follow(&self, mut tell: impl FnMut(Refreshed) + Send) -> std::convert::Infallible {
        let mut backoff = Backoff::new(PAUSE_MIN, PAUSE_MAX);
        loop {
            let ended = self
                .listen(|refreshed| {
                    if !backoff.is_fresh() {
                        self.state.send_replace(ViewState::Kept);
                        tracing::info!(view = V::NAME, "the view store is back");
                        backoff.reset();
                    }
                    tell(refreshed);
                })
                .await;
            let Err(error) = ended;
            if backoff.is_fresh() {
                self.state.send_replace(ViewState::Stopped);
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
            timeout(ANSWER_MAX, client.batch_execute(&format!("LISTEN {CHANNEL}"))).await??;
            loop {
                tell(self.refresh().await?);
                // Nothing told for a while is as good as something told, if it could have been.
                if timeout(LOOK_EVERY, told.notified()).await.is_err() {
                    timeout(ANSWER_MAX, client.batch_execute("")).await??;
                }
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
        let before = {
            let shown = self.shown.lock().await;
            // A reader that was away for long may have missed what is deleted and forgotten by now.
            let recent = shown.as_ref().filter(|shown| shown.at.elapsed() < DELETED_STAY / 2);
            recent.map(|shown| shown.generation.clone())
        };
        let at = Instant::now();
        let ask = async |client: &mut Client| self.changes(client, before.as_ref()).await;
        let Some(changes) = self.database.within(ANSWER_MAX, ask).await? else {
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
                let parked_before = shown.take().map(|shown| shown.parked).unwrap_or_default();
                let parked = parked_by_tenant(&changes.parked);
                match changes.tenants {
                    Some(tenants) => self.apply(&changes.generation, tenants, &parked_before, &parked),
                    None => self.tenants.invalidate_all(),
                }
                let streams = changes.parked.into_iter().map(|parked| (parked.stream, parked.revision));
                self.parked.store(Arc::new(streams.collect()));
                *shown = Some(Shown { generation: changes.generation, at, parked });
                self.checkpoint.send_replace(position);
            }
        }
        Ok(Refreshed::Through(position))
    }

    async fn changes(&self, client: &mut Client, before: Option<&Generation>) -> Result<Option<Changes<V>>, Error> {
        let transaction =
            client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true).start().await?;
        let Some(generation) = Generation::live::<V>(&transaction).await? else {
            return Ok(None);
        };
        let tenants = async {
            match before.filter(|before| generation.goes_on_from(before)) {
                Some(before) if before.writes < generation.writes => {
                    Ok(Some(self.changed(&transaction, &generation, before.writes).await?))
                }
                Some(_) => Ok(Some(ByTenant::new())),
                None => Ok(None),
            }
        };
        // In this order, as the first that fails makes the others fail.
        let (tenants, parked) = try_join!(biased; tenants, parked_streams(&transaction, &generation))?;
        transaction.commit().await?;
        Ok(Some(Changes { generation, tenants, parked }))
    }

    /// What changed for each tenant; documents of those that are held. Few change at once, and many are held.
    async fn changed(
        &self,
        transaction: &Transaction<'_>,
        generation: &Generation,
        since: i64,
    ) -> Result<ByTenant<V>, Error> {
        let moved = format!("SELECT tenant, revision, position, hash FROM {} WHERE written > $1", generation.tenants());
        let (mut tenants, mut held) = (BTreeMap::new(), Vec::new());
        for row in ask(transaction, &moved, &[(&since, Type::INT8)]).await? {
            let tenant = TenantId::parse(row.try_get::<_, &str>(0)?).map_err(corrupt)?;
            let changes = if self.tenants.contains_key(&tenant) {
                held.push(tenant.to_string());
                Some((TenantChanges { last: last_event(&row, 1)?, documents: BTreeMap::new() }, 0))
            } else {
                None
            };
            tenants.insert(tenant, changes);
        }
        if held.is_empty() {
            return Ok(tenants);
        }
        let documents = format!(
            "SELECT tenant, key, document FROM {} WHERE written > $1 AND tenant = ANY($2)",
            generation.documents()
        );
        for row in ask(transaction, &documents, &[(&since, Type::INT8), (&held, Type::TEXT_ARRAY)]).await? {
            let Some(Some((changes, bytes))) = tenants.get_mut(row.try_get::<_, &str>(0)?) else { continue };
            let (key, document): (&str, Option<&str>) = (row.try_get(1)?, row.try_get(2)?);
            *bytes += document.map_or(0, |document| bytes_of(key, document));
            let document = document.map(serde_json::from_str).transpose().map_err(corrupt)?;
            changes.documents.insert(parse_key::<V>(key)?, document);
        }
        Ok(tenants)
    }

    /// Brings those that are held up to a write of the generation. A tenant that did not change is there already: what is
    /// loaded is never older than what was shown then.
    fn apply(
        &self,
        generation: &Generation,
        changed: ByTenant<V>,
        parked_before: &ParkedByTenant,
        parked: &ParkedByTenant,
    ) {
        let parked_of = |tenant: &TenantId| parked.get(tenant).cloned().unwrap_or_default();
        for tenant in parked_before.keys().chain(parked.keys()) {
            if parked_before.get(tenant) != parked.get(tenant) && !changed.contains_key(tenant) {
                self.bring_up(generation, tenant, parked_of(tenant), |_| 0);
            }
        }
        for (tenant, changes) in changed {
            match changes {
                Some((changes, more)) => self.bring_up(generation, &tenant, parked_of(&tenant), |snapshot| {
                    snapshot.apply(changes);
                    more
                }),
                // It was loaded since it was asked for changes, and may lack some.
                None if self.tenants.get(&tenant).is_some_and(|held| held.written < generation.writes) => {
                    self.tenants.invalidate(&tenant);
                }
                None => {}
            }
        }
    }

    /// Changes a tenant that is held and not there yet; `change` answers how many bytes came to it.
    fn bring_up(
        &self,
        generation: &Generation,
        tenant: &TenantId,
        parked: ParkedStreams,
        change: impl FnOnce(&mut Snapshot<V>) -> usize,
    ) {
        let Some(held) = self.tenants.get(tenant).filter(|held| held.written < generation.writes) else { return };
        let mut snapshot = held.snapshot.as_ref().clone();
        let bytes = held.bytes + change(&mut snapshot);
        snapshot.parked = Arc::new(parked);
        let (snapshot, written) = (Arc::new(snapshot), generation.writes);
        self.hold(tenant, Arc::new(Held { snapshot, generation: generation.id, written, bytes }));
    }
}

fn parked_by_tenant(parked: &[Parked]) -> ParkedByTenant {
    let mut by_tenant = ParkedByTenant::new();
    for Parked { tenant, stream, revision } in parked {
        if let Some(tenant) = tenant {
            by_tenant.entry(tenant.clone()).or_default().insert(stream.clone(), *revision);
        }
    }
    by_tenant
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
