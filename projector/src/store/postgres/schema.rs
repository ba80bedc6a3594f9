//! The schema: numbered migrations, each done once, by whichever process comes first.

use thiserror::Error;

use super::{super::Error as StoreError, connect::Database};

/// One that older releases cannot go on with inserts its own number, with `breaks`.
const MIGRATIONS: [&str; 4] = [
    include_str!("migrations/0001.sql"),
    include_str!("migrations/0002.sql"),
    include_str!("migrations/0003.sql"),
    include_str!("migrations/0004.sql"),
];
/// Processes that start at once take turns under this number.
const LOCK: i64 = 0x1a2e_9b7c_0d41;

/// Why the schema is not as this release needs it.
#[derive(Debug, Error)]
pub enum SchemaError {
    /// A newer release made it, in a way that this one cannot go on with.
    #[error("the database has schema {found}, and this release knows schemas up to {known}")]
    Newer {
        /// What is there.
        found: i32,
        /// What this release knows.
        known: i32,
    },
    /// The database is away, or refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<tokio_postgres::Error> for SchemaError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Brings the schema up to what this release needs.
///
/// # Errors
/// See [`SchemaError`].
pub async fn migrate(database: &Database) -> Result<(), SchemaError> {
    let mut client = database.client().await?;
    let transaction = client.transaction().await?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    // Whoever waits to change a table is in front of everybody who only wants to read it.
    transaction.batch_execute("SET LOCAL lock_timeout = '1s'").await?;
    transaction.batch_execute("CREATE TABLE IF NOT EXISTS schema_migrations (number integer PRIMARY KEY)").await?;
    let row = transaction.query_one("SELECT coalesce(max(number), 0) FROM schema_migrations", &[]).await?;
    let found: i32 = row.try_get(0)?;
    let known = i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX);
    if found > known {
        // Releases run side by side: what is only more is no matter to this one.
        let sql = "SELECT max(number) FROM schema_migrations WHERE number > $1 AND breaks";
        return match transaction.query_one(sql, &[&known]).await?.try_get(0)? {
            Some(found) => Err(SchemaError::Newer { found, known }),
            None => Ok(()),
        };
    }
    for (number, sql) in (1..).zip(MIGRATIONS).filter(|(number, _)| *number > found) {
        transaction.batch_execute(sql).await?;
        transaction
            .execute("INSERT INTO schema_migrations (number) VALUES ($1) ON CONFLICT DO NOTHING", &[&number])
            .await?;
    }
    Ok(transaction.commit().await?)
}
