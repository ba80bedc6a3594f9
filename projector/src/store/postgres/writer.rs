//! The writing half: a batch is one statement.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    marker::PhantomData,
    sync::Arc,
};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use deadpool_postgres::{Client, GenericClient, Transaction};
use events::{
    ids::{Position, TenantId},
    stream::StreamName,
};
use futures_util::pin_mut;
use tokio::sync::watch;
use tokio_postgres::{
    binary_copy::BinaryCopyInWriter,
    types::{ToSql, Type},
};

use super::{
    super::{Batch, Documents, Error, Parked, ParkedStreams, TenantChanges, Views, WriteViews},
    CHANNEL, DELETED_STAY,
    connect::ANSWER_MAX,
    corrupt,
    generation::Generation,
    lease::Lease,
    reader::{parked_streams, position_of},
    signed,
};
use crate::{place::LastRead, view::View};

/// The lease must still be this process's, and the checkpoint where the batch continues from; then it moves.
const FENCE: &str = "lease AS MATERIALIZED (
        SELECT FROM leases WHERE name = $1 AND epoch = $2 FOR SHARE
    ), fence AS (
        UPDATE view_generations
        SET position = $5, writes = writes + 1, moved_at = clock_timestamp(),
            last_read = coalesce($6::text, last_read)
        FROM lease
        WHERE id = $3 AND position = $4 AND state IN ('filling', 'live')
        RETURNING id, writes
    )";

/// A view that this process feeds.
pub struct PostgresWriter<V: View> {
    pub(super) lease: Lease,
    pub(super) generation: Generation,
    /// Whether the view is shown when it has caught up: a rebuild is compared first.
    is_shown: bool,
    write: String,
    checkpoint: watch::Sender<Position>,
    parked: ArcSwap<ParkedStreams>,
    last_read: Option<LastRead>,
    view: PhantomData<fn() -> V>,
}

impl<V: View> fmt::Debug for PostgresWriter<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {:?}, epoch {}", V::NAME, self.lease.database, self.lease.epoch)
    }
}

impl<V: View> PostgresWriter<V> {
    /// The name of the lease that the writer of this view needs.
    #[must_use]
    pub fn lease_name() -> String {
        format!("view {} version {}", V::NAME, V::VERSION)
    }

    /// Goes on where the view is; begins one that is not there yet.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn open(lease: Lease) -> Result<Self, Error> {
        let ask = async |client: &mut Client| {
            let transaction = client.transaction().await?;
            let (generation, left) = Generation::to_feed::<V>(&transaction).await?;
            let parked = parked_streams(&transaction, &generation).await?;
            let last_read = generation.last_read(&transaction).await?;
            transaction.commit().await?;
            for left in left {
                left.try_remove(client).await;
            }
            Ok((generation, parked, last_read))
        };
        let (generation, parked, last_read) = lease.database.within(ANSWER_MAX, ask).await?;
        Ok(Self { last_read, ..Self::of(lease, generation, parked, true) })
    }

    pub(super) fn of(lease: Lease, generation: Generation, parked: Vec<Parked>, is_shown: bool) -> Self {
        let streams = parked.into_iter().map(|parked| (parked.stream, parked.revision)).collect();
        Self {
            lease,
            is_shown,
            write: write_sql(V::NAME, &generation),
            checkpoint: watch::Sender::new(position_of(generation.position)),
            parked: ArcSwap::from_pointee(streams),
            generation,
            last_read: None,
            view: PhantomData,
        }
    }

    /// Removes the rows of documents that were deleted long ago; answers how many.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn forget_deleted(&self) -> Result<u64, Error> {
        let sql = format!(
            "DELETE FROM {} WHERE document IS NULL AND changed_at < clock_timestamp() - make_interval(secs => $1)",
            self.generation.documents()
        );
        // There may be many; nobody waits for it.
        Ok(self.lease.database.client().await?.execute(&sql, &[&DELETED_STAY.as_secs_f64()]).await?)
    }

    /// Why the fence let nothing through.
    async fn refusal(&self, client: &impl GenericClient, expected: Position) -> Error {
        let sql = "SELECT EXISTS (SELECT FROM leases WHERE name = $2 AND epoch = $3),
                          (SELECT position FROM view_generations WHERE id = $1 AND state IN ('filling', 'live'))";
        let told = client.query_one(sql, &[&self.generation.id, &self.lease.name, &self.lease.epoch]).await;
        let told = told.and_then(|row| Ok((row.try_get::<_, bool>(0)?, row.try_get::<_, Option<i64>>(1)?)));
        match told {
            Ok((false, _)) => Error::Fenced,
            Ok((true, None)) => Error::Replaced,
            Ok((true, Some(actual))) => Error::Elsewhere { expected, actual: position_of(actual) },
            Err(error) => error.into(),
        }
    }

    fn moved(&self, through: Position, parked: Vec<Parked>, unparked: &[StreamName]) {
        if !parked.is_empty() || !unparked.is_empty() {
            let mut all = ParkedStreams::clone(&self.parked.load());
            all.retain(|stream, _| !unparked.contains(stream));
            for Parked { stream, revision, .. } in parked {
                all.entry(stream).or_insert(revision);
            }
            self.parked.store(Arc::new(all));
        }
        self.checkpoint.send_replace(through);
    }
}

fn write_sql(view: &str, generation: &Generation) -> String {
    let (documents, tenants, parked) = (generation.documents(), generation.tenants(), generation.parked());
    format!(
        "WITH {FENCE}, changed AS (
            INSERT INTO {documents} (tenant, key, document, written)
            SELECT new.*, writes FROM fence, unnest($7::text[], $8::text[], $9::text[]) AS new
            ON CONFLICT (tenant, key) DO UPDATE
            SET document = excluded.document, written = excluded.written, changed_at = clock_timestamp()
        ), moved AS (
            INSERT INTO {tenants} AS old (tenant, revision, position, hash, written)
            SELECT new.*, writes FROM fence, unnest($10::text[], $11::bigint[], $12::bigint[], $13::text[]) AS new
            ON CONFLICT (tenant) DO UPDATE
            SET (revision, position, hash) = (
                    SELECT revision, position, hash
                    FROM (VALUES (old.revision, old.position, old.hash),
                                 (excluded.revision, excluded.position, excluded.hash)) AS last (revision, position, hash)
                    ORDER BY position DESC LIMIT 1
                ), written = excluded.written
        ), unparked AS (
            DELETE FROM {parked} USING fence WHERE stream = ANY ($17::text[]) AND stream <> ALL ($14::text[])
        ), parked AS (
            INSERT INTO {parked} AS old (stream, tenant, revision)
            SELECT new.* FROM fence, unnest($14::text[], $15::text[], $16::bigint[]) AS new
            ON CONFLICT (stream) DO UPDATE SET revision = excluded.revision WHERE old.stream = ANY ($17::text[])
        )
        SELECT pg_notify('{CHANNEL}', '{view} ' || id::text) FROM fence"
    )
}

/// What the fence is passed with.
struct Fence<'a> {
    lease: &'a Lease,
    generation: &'a Generation,
    from: i64,
    through: i64,
    last_read: Option<String>,
}

impl<'a> Fence<'a> {
    fn of<V: View>(lease: &'a Lease, generation: &'a Generation, batch: &Batch<V>) -> Result<Self, Error> {
        let (from, through) = (signed(batch.from.get()), signed(batch.through.get()));
        let last_read = batch.last_read.as_ref().map(to_json).transpose()?;
        Ok(Self { lease, generation, from, through, last_read })
    }

    fn params(&self) -> [&(dyn ToSql + Sync); 6] {
        let Self { lease, generation, from, through, last_read } = self;
        [&lease.name, &lease.epoch, &generation.id, from, through, last_read]
    }
}

/// A batch as columns.
#[derive(Default)]
struct Columns {
    tenants: Vec<String>,
    keys: Vec<String>,
    documents: Vec<Option<String>>,
    moved: Vec<String>,
    revisions: Vec<i64>,
    positions: Vec<i64>,
    hashes: Vec<String>,
    parked: Vec<String>,
    parked_tenants: Vec<Option<String>>,
    parked_revisions: Vec<i64>,
    unparked: Vec<String>,
}

impl Columns {
    fn of<V: View>(batch: &Batch<V>) -> Result<Self, Error> {
        let mut columns = Self::default();
        for (tenant, changes) in &batch.tenants {
            columns.moved.push(tenant.to_string());
            columns.revisions.push(signed(changes.last.revision.get()));
            columns.positions.push(signed(changes.last.position.get()));
            columns.hashes.push(changes.last.hash.to_string());
            for (key, document) in &changes.documents {
                columns.tenants.push(tenant.to_string());
                columns.keys.push(key.to_string());
                columns.documents.push(document.as_ref().map(to_json).transpose()?);
            }
        }
        for Parked { tenant, stream, revision } in &batch.parked {
            columns.parked.push(stream.to_string());
            columns.parked_tenants.push(tenant.as_ref().map(TenantId::to_string));
            columns.parked_revisions.push(signed(revision.get()));
        }
        columns.unparked = batch.unparked.iter().map(StreamName::to_string).collect();
        Ok(columns)
    }
}

fn to_json(document: &impl serde::Serialize) -> Result<String, Error> {
    serde_json::to_string(document).map_err(corrupt)
}

impl<V: View> Views for PostgresWriter<V> {
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
impl<V: View> WriteViews<V> for PostgresWriter<V> {
    fn last_read(&self) -> Option<LastRead> {
        self.last_read.clone()
    }

    async fn documents(&self, keys: BTreeSet<(TenantId, V::Key)>) -> Result<Documents<V>, Error> {
        if keys.is_empty() {
            return Ok(Documents::<V>::new());
        }
        let sql = format!(
            "SELECT tenant, key, document FROM {} JOIN unnest($1::text[], $2::text[]) AS wanted (tenant, key)
             USING (tenant, key) WHERE document IS NOT NULL",
            self.generation.documents()
        );
        let (tenants, texts): (Vec<_>, Vec<_>) =
            keys.into_iter().map(|(tenant, key)| (String::from(tenant), key.to_string())).unzip();
        let ask = async |client: &mut Client| {
            Ok(client.query(&client.prepare_cached(&sql).await?, &[&tenants, &texts]).await?)
        };
        let rows = self.lease.database.within(ANSWER_MAX, ask).await?;
        let parsed = rows.iter().map(|row| {
            let tenant = TenantId::parse(row.try_get::<_, &str>(0)?).map_err(corrupt)?;
            let key = row.try_get::<_, &str>(1)?.parse().map_err(|_| corrupt("a key of a view is none"))?;
            Ok(((tenant, key), serde_json::from_str(row.try_get(2)?).map_err(corrupt)?))
        });
        parsed.collect()
    }

    async fn write(&self, batch: Batch<V>) -> Result<(), Error> {
        let columns = Columns::of(&batch)?;
        let fence = Fence::of(&self.lease, &self.generation, &batch)?;
        let params: [&(dyn ToSql + Sync); 11] = [
            &columns.tenants,
            &columns.keys,
            &columns.documents,
            &columns.moved,
            &columns.revisions,
            &columns.positions,
            &columns.hashes,
            &columns.parked,
            &columns.parked_tenants,
            &columns.parked_revisions,
            &columns.unparked,
        ];
        let params = [&fence.params()[..], &params].concat();
        let ask = async |client: &mut Client| {
            let statement = client.prepare_cached(&self.write).await?;
            match client.query_opt(&statement, &params).await? {
                Some(_) => Ok(()),
                None => Err(self.refusal(&*client, batch.from).await),
            }
        };
        self.lease.database.within(ANSWER_MAX, ask).await?;
        self.moved(batch.through, batch.parked, &batch.unparked);
        Ok(())
    }

    async fn show(&self) -> Result<(), Error> {
        if !self.is_shown {
            return Ok(());
        }
        let sql = format!(
            "WITH lease AS MATERIALIZED (SELECT FROM leases WHERE name = $1 AND epoch = $2 FOR SHARE), shown AS (
                 UPDATE view_generations SET state = 'live' FROM lease WHERE id = $3 AND state = 'filling' RETURNING id
             ), told AS (SELECT pg_notify('{CHANNEL}', '{view} ' || id::text) FROM shown)
             SELECT count(*) FROM lease LEFT JOIN told ON true",
            view = V::NAME
        );
        let (name, epoch) = (&self.lease.name, &self.lease.epoch);
        let ask = async |client: &mut Client| Ok(client.query_one(&sql, &[name, epoch, &self.generation.id]).await?);
        let row = self.lease.database.within(ANSWER_MAX, ask).await?;
        if row.try_get::<_, i64>(0)? > 0 { Ok(()) } else { Err(Error::Fenced) }
    }

    async fn write_replayed(&self, batch: Batch<V>) -> Result<(), Error> {
        let actual = *self.checkpoint.borrow();
        if actual != batch.from {
            return Err(Error::Elsewhere { expected: batch.from, actual });
        }
        let mut client = self.lease.database.client().await?;
        let transaction = client.transaction().await?;
        let fence = Fence::of(&self.lease, &self.generation, &batch)?;
        let Batch { from, through, tenants, parked, .. } = batch;
        // The fence comes last: what it locks must not stay locked for as long as it takes to fill the tables. Nobody else
        // fills these: whoever takes over begins others.
        let written = self.generation.writes + 1;
        copy(&transaction, &self.generation, tenants, &parked, written).await?;
        let passed = transaction.query_opt(&format!("WITH {FENCE} SELECT writes FROM fence"), &fence.params()).await?;
        let writes = passed.map(|row| row.try_get::<_, i64>(0)).transpose()?;
        if writes != Some(written) {
            drop(transaction);
            return Err(self.refusal(&client, from).await);
        }
        transaction.commit().await?;
        self.moved(through, parked, &[]);
        Ok(())
    }
}

/// Fills the tables of a generation that has nothing yet.
async fn copy<V: View>(
    transaction: &Transaction<'_>,
    generation: &Generation,
    tenants: BTreeMap<TenantId, TenantChanges<V>>,
    parked: &[Parked],
    written: i64,
) -> Result<(), Error> {
    let sql = format!("COPY {} (tenant, key, document, written) FROM STDIN BINARY", generation.documents());
    let sink = transaction.copy_in(&sql).await?;
    let writer = BinaryCopyInWriter::new(sink, &[Type::TEXT, Type::TEXT, Type::TEXT, Type::INT8]);
    pin_mut!(writer);
    let mut moved = Vec::with_capacity(tenants.len());
    for (tenant, changes) in tenants {
        moved.push((tenant.clone(), changes.last));
        for (key, document) in changes.into_documents() {
            let (key, document) = (key.to_string(), to_json(&document)?);
            writer.as_mut().write(&[&tenant.as_str(), &key, &document, &written]).await?;
        }
    }
    writer.finish().await?;
    let sql = format!("COPY {} (tenant, revision, position, hash, written) FROM STDIN BINARY", generation.tenants());
    let sink = transaction.copy_in(&sql).await?;
    let writer = BinaryCopyInWriter::new(sink, &[Type::TEXT, Type::INT8, Type::INT8, Type::TEXT, Type::INT8]);
    pin_mut!(writer);
    for (tenant, last) in moved {
        let (revision, position) = (signed(last.revision.get()), signed(last.position.get()));
        writer.as_mut().write(&[&tenant.as_str(), &revision, &position, &last.hash.to_string(), &written]).await?;
    }
    writer.finish().await?;
    for Parked { tenant, stream, revision } in parked {
        let sql = format!("INSERT INTO {} (stream, tenant, revision) VALUES ($1, $2, $3)", generation.parked());
        let tenant = tenant.as_ref().map(TenantId::as_str);
        transaction.execute(&sql, &[&stream.as_str(), &tenant, &signed(revision.get())]).await?;
    }
    Ok(())
}
