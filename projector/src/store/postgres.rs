//! Views in PostgreSQL: written by the one process that has the lease, read by as many as there are.
//!
//! Each generation of a view has tables of its own: documents, the last event of each tenant, parked streams. A batch is
//! one statement, which moves the checkpoint by compare-and-set on lease and old position and writes nothing unless that
//! succeeds: so each event takes effect exactly once, whatever crashes or wakes up late.

use std::time::Duration;

use deadpool_postgres::Transaction;
use events::store::Cause;
use tokio::time::error::Elapsed;
use tokio_postgres::{
    Row,
    types::{ToSql, Type},
};

use super::Error;

mod connect;
mod generation;
mod lease;
mod reader;
mod rebuild;
mod refresh;
mod retry;
mod schema;
mod writer;

pub use connect::{ConfigError, Database};
pub use generation::{Listed, list, prune, prune_older};
pub use lease::Lease;
pub use reader::{PostgresReader, Refreshed};
pub use rebuild::{Difference, Rebuild, Switch};
pub use retry::Retry;
pub use schema::{SchemaError, migrate};
pub use writer::PostgresWriter;

/// How long a deleted document stays as a row without one, for readers that were away.
const DELETED_STAY: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Where a view that moved is told.
const CHANNEL: &str = "integrations_views";

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Unavailable(error.into())
    }
}

impl From<deadpool_postgres::PoolError> for Error {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        Self::Unavailable(error.into())
    }
}

impl From<Elapsed> for Error {
    fn from(late: Elapsed) -> Self {
        Self::Unavailable(late.into())
    }
}

/// Asks in one round trip, and what is asked at once goes together. The statement is not kept, so that it is planned for the
/// values that it has: what a plan for any values does depends on what was known of the tables when it was made.
async fn ask(
    transaction: &Transaction<'_>,
    sql: &str,
    params: &[(&(dyn ToSql + Sync), Type)],
) -> Result<Vec<Row>, Error> {
    Ok(transaction.query_typed(sql, params).await?)
}

fn corrupt(cause: impl Into<Cause>) -> Error {
    Error::Corrupt(cause.into())
}

/// PostgreSQL's integers are signed; no log reaches 2^63.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
