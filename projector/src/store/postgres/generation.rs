//! Generations: each of one view and version, with tables of its own.

use deadpool_postgres::{GenericClient, Transaction};
use tokio_postgres::Row;

use super::super::Error;
use crate::view::View;

/// A generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Generation {
    pub(super) id: i64,
    pub(super) position: i64,
    table: String,
}

impl Generation {
    fn of<V: View>(row: &Row) -> Result<Self, Error> {
        let (number, position): (i32, i64) = (row.try_get(1)?, row.try_get(2)?);
        let table = format!("view_{}_v{}_g{number}", V::NAME.replace('-', "_"), V::VERSION);
        Ok(Self { id: row.try_get(0)?, position, table })
    }

    /// The table of documents: those that are gone stay as rows without one for a while.
    pub(super) fn documents(&self) -> String {
        format!("\"{}\"", self.table)
    }

    /// The table of tenants, each with the last event that changed it.
    pub(super) fn tenants(&self) -> String {
        format!("\"{}_tenants\"", self.table)
    }

    /// The table of parked streams.
    pub(super) fn parked(&self) -> String {
        format!("\"{}_parked\"", self.table)
    }

    /// The one that queries read; `None` when there is none yet.
    pub(super) async fn live<V: View>(client: &impl GenericClient) -> Result<Option<Self>, Error> {
        Self::newest::<V>(client, "live").await
    }

    async fn newest<V: View>(client: &impl GenericClient, state: &str) -> Result<Option<Self>, Error> {
        let sql = "SELECT id, number, position FROM view_generations
                   WHERE view = $1 AND version = $2 AND state = $3 ORDER BY number DESC LIMIT 1";
        let row = client.query_opt(sql, &[&V::NAME, &version::<V>(), &state]).await?;
        row.as_ref().map(Self::of::<V>).transpose()
    }

    /// The one to feed: the live one, or else one that is being filled for the first time.
    pub(super) async fn to_feed<V: View>(transaction: &Transaction<'_>) -> Result<Self, Error> {
        // Processes that find none at once take turns.
        transaction.batch_execute("LOCK TABLE view_generations IN SHARE ROW EXCLUSIVE MODE").await?;
        if let Some(live) = Self::live::<V>(transaction).await? {
            return Ok(live);
        }
        match Self::newest::<V>(transaction, "filling").await? {
            Some(filling) => Ok(filling),
            None => Self::create::<V>(transaction).await,
        }
    }

    /// A new one, to be filled.
    async fn create<V: View>(transaction: &Transaction<'_>) -> Result<Self, Error> {
        let sql = "INSERT INTO view_generations (view, version, number, state)
                   SELECT $1, $2, coalesce(max(number), 0) + 1, 'filling' FROM view_generations
                   WHERE view = $1 AND version = $2
                   RETURNING id, number, position";
        let generation = Self::of::<V>(&transaction.query_one(sql, &[&V::NAME, &version::<V>()]).await?)?;
        let (documents, tenants, parked) = (generation.documents(), generation.tenants(), generation.parked());
        let sql = format!(
            r#"CREATE TABLE {documents} (
                   tenant     text COLLATE "C" NOT NULL,
                   key        text COLLATE "C" NOT NULL,
                   document   text,
                   position   bigint NOT NULL,
                   changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
                   PRIMARY KEY (tenant, key)
               );
               CREATE INDEX ON {documents} (position);
               CREATE INDEX ON {documents} (changed_at) WHERE document IS NULL;
               CREATE TABLE {tenants} (
                   tenant        text COLLATE "C" PRIMARY KEY,
                   revision      bigint NOT NULL,
                   position      bigint NOT NULL,
                   hash          text NOT NULL,
                   through       bigint NOT NULL
               );
               CREATE INDEX ON {tenants} (through);
               CREATE TABLE {parked} (stream text COLLATE "C" PRIMARY KEY, tenant text, revision bigint NOT NULL);"#
        );
        transaction.batch_execute(&sql).await?;
        Ok(generation)
    }
}

pub(super) fn version<V: View>() -> i32 {
    i32::try_from(V::VERSION).unwrap_or(i32::MAX)
}
