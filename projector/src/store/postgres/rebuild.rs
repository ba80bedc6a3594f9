//! Rebuilding: a new generation is filled beside the live one, compared with it, and takes its place in one transaction.

use std::{fmt, time::Duration};

use deadpool_postgres::{Client, GenericClient, Transaction};
use events::ids::Position;
use tokio::{sync::watch, time::timeout};
use tokio_postgres::IsolationLevel;

use super::{
    super::{Error, Views as _},
    CHANNEL,
    connect::{ANSWER_MAX, Database},
    generation::{Generation, take_turns},
    lease::Lease,
    reader::position_of,
    writer::PostgresWriter,
};
use crate::view::View;

/// How long the live generation waits, where it is, for the new one to come to the same place.
const MEET_MAX: Duration = Duration::from_secs(2);
/// How many documents that differ are named.
const NAMED_MAX: i64 = 10;

/// A generation that is to take the live one's place.
pub struct Rebuild<V: View> {
    database: Database,
    old: i64,
    new: i64,
    /// What fills it.
    pub writer: PostgresWriter<V>,
}

impl<V: View> fmt::Debug for Rebuild<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a rebuild by {:?}", self.writer)
    }
}

/// A document that the two generations do not agree about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its tenant.
    pub tenant: String,
    /// Its key; `(version)` where it is the tenant's version that differs.
    pub key: String,
}

/// What came of an attempt to switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Switch {
    /// The new generation is live.
    Done,
    /// The new generation did not come to where the live one is in time.
    Behind,
    /// Documents differ, of which some are named here: the view's version was not raised, or the live one is damaged.
    Differs(Vec<Difference>),
    /// Another generation is live by now.
    Overtaken,
}

impl<V: View> Rebuild<V> {
    /// The name of the lease that a rebuild of this view needs.
    #[must_use]
    pub fn lease_name() -> String {
        format!("rebuild of view {} version {}", V::NAME, V::VERSION)
    }

    /// Begins a new generation. What an interrupted rebuild left is removed. `None` when there is no live one to rebuild.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn begin(lease: Lease) -> Result<Option<Self>, Error> {
        let database = lease.database.clone();
        let mut client = database.client().await?;
        let transaction = client.transaction().await?;
        take_turns::<V>(&transaction).await?;
        let Some(old) = Generation::live::<V>(&transaction).await? else {
            return Ok(None);
        };
        let left = Generation::retire_filling::<V>(&transaction).await?;
        let new = Generation::create::<V>(&transaction).await?;
        transaction.commit().await?;
        for left in left {
            left.try_remove(&mut client).await;
        }
        drop(client);
        let (old, new_id) = (old.id, new.id);
        Ok(Some(Self { database, old, new: new_id, writer: PostgresWriter::of(lease, new, Vec::new(), false) }))
    }

    /// Removes what was filled.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn abandon(self) -> Result<(), Error> {
        let mut client = self.database.client().await?;
        let transaction = client.transaction().await?;
        let filling = Generation::all::<V>(&transaction, "filling").await?;
        for generation in filling.into_iter().filter(|generation| generation.id == self.new) {
            generation.remove(&transaction).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Puts the new generation in the live one's place, if all documents are the same. Compares twice: what both have at the
    /// same place without holding anybody up, and then what was written since. For that the live one is locked, the new one,
    /// which reads no further than `bound`, comes to the same place, and is locked too.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn switch(&self, bound: &watch::Sender<Position>) -> Result<Switch, Error> {
        if !self.is_near().await? {
            return Ok(Switch::Behind);
        }
        let mut client = self.database.client().await?;
        let transaction =
            client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true).start().await?;
        let Some((old, new)) = self.both(&transaction).await? else {
            return Ok(Switch::Overtaken);
        };
        let differences = differences(&transaction, &old, &new, (-1, -1)).await?;
        transaction.commit().await?;
        if !differences.is_empty() {
            return Ok(Switch::Differs(differences));
        }
        // What came while it was compared is read first: nobody is to wait for that.
        if !self.is_near().await? {
            return Ok(Switch::Behind);
        }
        let compared = (old.writes, new.writes);
        let transaction = client.transaction().await?;
        let Some(old) = Generation::find::<V>(&transaction, self.old, "live", "FOR UPDATE").await? else {
            return Ok(Switch::Overtaken);
        };
        let meeting = position_of(old.position);
        bound.send_replace(meeting);
        let mut reached = self.writer.checkpoint();
        if timeout(MEET_MAX, reached.wait_for(|reached| *reached >= meeting)).await.is_err() {
            return Ok(Switch::Behind);
        }
        let Some(new) = Generation::find::<V>(&transaction, self.new, "filling", "FOR UPDATE").await? else {
            return Ok(Switch::Overtaken);
        };
        if new.position != old.position {
            return Ok(Switch::Behind);
        }
        let differences = differences_since(&transaction, &old, &new, compared).await?;
        if !differences.is_empty() {
            return Ok(Switch::Differs(differences));
        }
        new.take_place_of(&old, &transaction).await?;
        transaction
            .execute(&format!("SELECT pg_notify('{CHANNEL}', $1)"), &[&format!("{} {}", V::NAME, self.new)])
            .await?;
        transaction.commit().await?;
        Ok(Switch::Done)
    }

    /// How far the live generation is.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn live_position(&self) -> Result<Position, Error> {
        let sql = "SELECT position FROM view_generations WHERE id = $1";
        let ask = async |client: &mut Client| Ok(client.query_one(sql, &[&self.old]).await?);
        Ok(position_of(self.database.within(ANSWER_MAX, ask).await?.try_get(0)?))
    }

    /// Whether the new generation is where the live one was a moment ago.
    async fn is_near(&self) -> Result<bool, Error> {
        let live = self.live_position().await?;
        let mut reached = self.writer.checkpoint();
        Ok(timeout(MEET_MAX, reached.wait_for(|reached| *reached >= live)).await.is_ok())
    }

    async fn both(&self, client: &Transaction<'_>) -> Result<Option<(Generation, Generation)>, Error> {
        let old = Generation::find::<V>(client, self.old, "live", "").await?;
        let new = Generation::find::<V>(client, self.new, "filling", "").await?;
        Ok(old.zip(new))
    }
}

async fn differences_since(
    client: &impl GenericClient,
    old: &Generation,
    new: &Generation,
    compared: (i64, i64),
) -> Result<Vec<Difference>, Error> {
    if (old.writes, new.writes) == compared { Ok(Vec::new()) } else { differences(client, old, new, compared).await }
}

/// Documents that differ, and tenants that are at different versions, as far as both generations have come past the last
/// change of either; of those that either was written to after so many writes, or that are at different versions. Tenant by
/// tenant, as all documents at once are more than is joined in memory.
async fn differences(
    client: &impl GenericClient,
    old: &Generation,
    new: &Generation,
    (old_writes, new_writes): (i64, i64),
) -> Result<Vec<Difference>, Error> {
    let sql = format!(
        "WITH tenants AS (
            SELECT tenant, are_at_odds
            FROM {} AS old FULL JOIN {} AS new USING (tenant), LATERAL (
                SELECT (old.revision, old.position, old.hash) IS DISTINCT FROM (new.revision, new.position, new.hash)
            ) AS compared (are_at_odds)
            WHERE coalesce(old.position, 0) <= $4 AND coalesce(new.position, 0) <= $3
              AND (old.written > $1 OR new.written > $2 OR are_at_odds)
        )
        SELECT tenant, key FROM tenants, LATERAL (
            SELECT key
            FROM (SELECT key, document FROM {} WHERE tenant = tenants.tenant AND document IS NOT NULL) AS old
            FULL JOIN (SELECT key, document FROM {} WHERE tenant = tenants.tenant AND document IS NOT NULL) AS new
            USING (key)
            WHERE old.document IS DISTINCT FROM new.document
        ) AS differing
        UNION ALL SELECT tenant, '(version)' FROM tenants WHERE are_at_odds
        ORDER BY tenant, key LIMIT {NAMED_MAX}",
        old.tenants(),
        new.tenants(),
        old.documents(),
        new.documents()
    );
    // Of a table that was just filled too little is known to tell that compiling does not pay.
    client.batch_execute("SET LOCAL jit = off").await?;
    let rows = client.query(&sql, &[&old_writes, &new_writes, &old.position, &new.position]).await?;
    let named = rows.iter().map(|row| Ok(Difference { tenant: row.try_get(0)?, key: row.try_get(1)? }));
    named.collect()
}
