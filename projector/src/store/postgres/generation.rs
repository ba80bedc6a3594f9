//! Generations: each of one view and version, with tables of its own.

use deadpool_postgres::{Client, GenericClient, Transaction};
use serde::Serialize;
use tokio_postgres::{
    Row,
    types::{ToSql, Type},
};

use super::{super::Error, ask, connect::Database, corrupt};
use crate::{place::LastRead, view::View};

/// What a generation is read from.
const COLUMNS: &str = "id, number, position, writes, follows, follows_writes";

/// A generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Generation {
    pub(super) id: i64,
    pub(super) position: i64,
    /// The number of its last write, on from those of a generation whose place it took: rows say which changed them last.
    pub(super) writes: i64,
    /// In whose place it came, and the number of that one's last write.
    follows: Option<(i64, i64)>,
    table: String,
}

impl Generation {
    fn of<V: View>(row: &Row) -> Result<Self, Error> {
        let (number, position, writes) = (row.try_get::<_, i32>(1)?, row.try_get(2)?, row.try_get(3)?);
        let follows = row.try_get::<_, Option<i64>>(4)?.zip(row.try_get(5)?);
        let table = table(V::NAME, version::<V>(), number);
        Ok(Self { id: row.try_get(0)?, position, writes, follows, table })
    }

    /// Whether whoever has all of `before` lacks no more of this one than the writes behind that one's last: it is the same,
    /// or took its place there.
    pub(super) fn goes_on_from(&self, before: &Self) -> bool {
        self.id == before.id || self.follows == Some((before.id, before.writes))
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
    pub(super) async fn live<V: View>(transaction: &Transaction<'_>) -> Result<Option<Self>, Error> {
        Self::newest::<V>(transaction, "live").await
    }

    async fn newest<V: View>(transaction: &Transaction<'_>, state: &str) -> Result<Option<Self>, Error> {
        let sql = format!(
            "SELECT {COLUMNS} FROM view_generations
             WHERE view = $1 AND version = $2 AND state = $3 ORDER BY number DESC LIMIT 1"
        );
        let (view, version) = (V::NAME, version::<V>());
        let rows = ask(transaction, &sql, &[(&view, Type::TEXT), (&version, Type::INT4), (&state, Type::TEXT)]).await?;
        rows.first().map(Self::of::<V>).transpose()
    }

    /// All of a state.
    pub(super) async fn all<V: View>(client: &impl GenericClient, state: &str) -> Result<Vec<Self>, Error> {
        let sql = format!(
            "SELECT {COLUMNS} FROM view_generations WHERE view = $1 AND version = $2 AND state = $3 ORDER BY number"
        );
        let rows = client.query(&sql, &[&V::NAME, &version::<V>(), &state]).await?;
        rows.iter().map(Self::of::<V>).collect()
    }

    /// One, if it is still of this state; `lock` is how its row is locked.
    pub(super) async fn find<V: View>(
        client: &impl GenericClient,
        id: i64,
        state: &str,
        lock: &str,
    ) -> Result<Option<Self>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM view_generations WHERE id = $1 AND state = $2 {lock}");
        client.query_opt(&sql, &[&id, &state]).await?.as_ref().map(Self::of::<V>).transpose()
    }

    /// The last event that it was made of.
    pub(super) async fn last_read(&self, client: &impl GenericClient) -> Result<Option<LastRead>, Error> {
        let row = client.query_one("SELECT last_read FROM view_generations WHERE id = $1", &[&self.id]).await?;
        row.try_get::<_, Option<&str>>(0)?.map(serde_json::from_str).transpose().map_err(corrupt)
    }

    /// Removes it with its tables, unless somebody who was filling it has them still: then `views prune` does.
    pub(super) async fn try_remove(&self, client: &mut Client) {
        let removed = async {
            let transaction = client.transaction().await?;
            transaction.batch_execute("SET LOCAL lock_timeout = '500ms'").await?;
            self.remove(&transaction).await?;
            Ok::<_, Error>(transaction.commit().await?)
        };
        if let Err(error) = removed.await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(
                error,
                table = self.table,
                "what was left of a view that was being filled cannot be removed yet"
            );
        }
    }

    /// Removes it with its tables.
    pub(super) async fn remove(&self, transaction: &Transaction<'_>) -> Result<(), Error> {
        transaction.execute("DELETE FROM view_generations WHERE id = $1", &[&self.id]).await?;
        drop_tables(transaction, &self.table).await
    }

    /// The one to feed, and what is of no use any more: the live one; or else one that was filled and is not shown yet; or
    /// else a new one, since whoever was filling another may have its tables still.
    pub(super) async fn to_feed<V: View>(transaction: &Transaction<'_>) -> Result<(Self, Vec<Self>), Error> {
        take_turns::<V>(transaction).await?;
        if let Some(live) = Self::live::<V>(transaction).await? {
            return Ok((live, Vec::new()));
        }
        match Self::newest::<V>(transaction, "filling").await? {
            Some(filled) if filled.position > 0 => Ok((filled, Vec::new())),
            _ => {
                let left = Self::retire_filling::<V>(transaction).await?;
                Ok((Self::create::<V>(transaction).await?, left))
            }
        }
    }

    /// Gives up all that are being filled.
    pub(super) async fn retire_filling<V: View>(transaction: &Transaction<'_>) -> Result<Vec<Self>, Error> {
        let sql = format!(
            "UPDATE view_generations SET state = 'retired' WHERE view = $1 AND version = $2 AND state = 'filling'
             RETURNING {COLUMNS}"
        );
        let rows = transaction.query(&sql, &[&V::NAME, &version::<V>()]).await?;
        rows.iter().map(Self::of::<V>).collect()
    }

    /// Lets this one take the place of a live one that is at the same position with the same documents. It counts its writes
    /// from behind those of both: what comes is newer than all that anybody has.
    pub(super) async fn take_place_of(&self, old: &Self, transaction: &Transaction<'_>) -> Result<(), Error> {
        let retire = "UPDATE view_generations SET state = 'retired', moved_at = clock_timestamp() WHERE id = $1";
        transaction.execute(retire, &[&old.id]).await?;
        let show = "UPDATE view_generations
                    SET state = 'live', moved_at = clock_timestamp(), writes = greatest(writes, $3) + 1,
                        follows = $2, follows_writes = $3
                    WHERE id = $1";
        transaction.execute(show, &[&self.id, &old.id, &old.writes]).await?;
        Ok(())
    }

    /// A new one, to be filled.
    pub(super) async fn create<V: View>(transaction: &Transaction<'_>) -> Result<Self, Error> {
        let sql = format!(
            "INSERT INTO view_generations (view, version, number, state)
             SELECT $1, $2, coalesce(max(number), 0) + 1, 'filling' FROM view_generations
             WHERE view = $1 AND version = $2
             RETURNING {COLUMNS}"
        );
        let generation = Self::of::<V>(&transaction.query_one(&sql, &[&V::NAME, &version::<V>()]).await?)?;
        let (documents, tenants, parked) = (generation.documents(), generation.tenants(), generation.parked());
        let sql = format!(
            r#"CREATE TABLE {documents} (
                   tenant     text COLLATE "C" NOT NULL,
                   key        text COLLATE "C" NOT NULL,
                   document   text,
                   written    bigint NOT NULL,
                   changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
                   PRIMARY KEY (tenant, key)
               );
               CREATE INDEX ON {documents} (written);
               CREATE INDEX ON {documents} (changed_at) WHERE document IS NULL;
               CREATE TABLE {tenants} (
                   tenant   text COLLATE "C" PRIMARY KEY,
                   revision bigint NOT NULL,
                   position bigint NOT NULL,
                   hash     text NOT NULL,
                   written  bigint NOT NULL
               );
               CREATE INDEX ON {tenants} (written);
               CREATE TABLE {parked} (stream text COLLATE "C" PRIMARY KEY, tenant text, revision bigint NOT NULL);"#
        );
        transaction.batch_execute(&sql).await?;
        Ok(generation)
    }
}

/// Processes that choose or make a generation of a view take turns. Not by a lock on the table of all: whoever waits for that
/// is in the way of every batch that is written.
pub(super) async fn take_turns<V: View>(transaction: &Transaction<'_>) -> Result<(), Error> {
    const TURNS: i32 = 0x1a2e_9b7c;
    transaction.execute("SELECT pg_advisory_xact_lock($1, hashtext($2))", &[&TURNS, &V::NAME]).await?;
    Ok(())
}

pub(super) fn version<V: View>() -> i32 {
    i32::try_from(V::VERSION).unwrap_or(i32::MAX)
}

fn table(view: &str, version: i32, number: i32) -> String {
    format!("view_{}_v{version}_g{number}", view.replace('-', "_"))
}

async fn drop_tables(transaction: &Transaction<'_>, table: &str) -> Result<(), Error> {
    let tables = ["", "_tenants", "_parked"].map(|part| format!("\"{table}{part}\""));
    Ok(transaction.batch_execute(&format!("DROP TABLE {}", tables.join(", "))).await?)
}

/// A generation, as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// The view.
    pub view: String,
    /// Its version.
    pub version: i32,
    /// Which generation of that.
    pub generation: i32,
    /// `filling`, `live` or `retired`.
    pub state: String,
    /// Its checkpoint.
    pub position: i64,
    /// Documents.
    pub documents: i64,
    /// Parked streams.
    pub parked: i64,
    /// Bytes on the disk.
    pub bytes: i64,
}

/// Every generation of every view, whatever release made it.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn list(database: &Database) -> Result<Vec<Listed>, Error> {
    let mut client = database.client().await?;
    let transaction = client.transaction().await?;
    let sql = "SELECT view, version, number, state, position FROM view_generations ORDER BY view, version, number";
    let mut listed = Vec::new();
    for row in transaction.query(sql, &[]).await? {
        let (view, version, generation) = (row.try_get::<_, String>(0)?, row.try_get(1)?, row.try_get(2)?);
        let table = table(&view, version, generation);
        let sql = format!(
            "SELECT (SELECT count(*) FROM \"{table}\" WHERE document IS NOT NULL), (SELECT count(*) FROM \"{table}_parked\"),
                    pg_total_relation_size('\"{table}\"') + pg_total_relation_size('\"{table}_tenants\"')"
        );
        let counts = transaction.query_one(&sql, &[]).await?;
        listed.push(Listed {
            view,
            version,
            generation,
            state: row.try_get(3)?,
            position: row.try_get(4)?,
            documents: counts.try_get(0)?,
            parked: counts.try_get(1)?,
            bytes: counts.try_get(2)?,
        });
    }
    transaction.commit().await?;
    Ok(listed)
}

/// Removes every generation that another one of its version has taken the place of; answers how many.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn prune(database: &Database) -> Result<usize, Error> {
    remove_all(database, "state = 'retired'", &[]).await
}

/// Removes every generation of an older version of this view, once this release's version is live, unless somebody feeds
/// it; answers how many.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn prune_older<V: View>(database: &Database) -> Result<usize, Error> {
    let is_older = "view = $1 AND version < $2
        AND EXISTS (SELECT FROM view_generations WHERE view = $1 AND version = $2 AND state = 'live')
        AND NOT EXISTS (
            SELECT FROM leases WHERE expires_at >= clock_timestamp()
            AND name IN ('view ' || $1 || ' version ' || version, 'rebuild of view ' || $1 || ' version ' || version)
        )";
    remove_all(database, is_older, &[&V::NAME, &version::<V>()]).await
}

async fn remove_all(database: &Database, which: &str, of: &[&(dyn ToSql + Sync)]) -> Result<usize, Error> {
    let mut client = database.client().await?;
    let transaction = client.transaction().await?;
    let sql = format!("DELETE FROM view_generations WHERE {which} RETURNING view, version, number");
    let removed = transaction.query(&sql, of).await?;
    for row in &removed {
        let table = table(row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        drop_tables(&transaction, &table).await?;
    }
    transaction.commit().await?;
    Ok(removed.len())
}
